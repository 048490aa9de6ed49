//! The provider `openstack` against a real OpenStack: `cargo xtask live openstack`.

#![expect(
    clippy::print_stdout,
    reason = "the figures are for the person who runs it"
)]

/// Makes tests of trials, on the cloud of this suite.
macro_rules! trials {
    ($($name:ident)*) => {
        mod tests {
            $(
                #[tokio::test]
                #[ignore = "needs a cloud: cargo xtask live openstack"]
                async fn $name() {
                    super::$name(crate::program::there()).await;
                }
            )*
        }
    };
}

#[path = "openstack/adopted.rs"]
mod adopted;
#[path = "openstack/balancers.rs"]
mod balancers;
#[path = "openstack/certificate.rs"]
mod certificate;
#[path = "openstack/contract.rs"]
mod contract;
#[path = "openstack/credentials.rs"]
mod credentials;
#[path = "openstack/dns.rs"]
mod dns;
#[path = "openstack/exchanges.rs"]
mod exchanges;
#[path = "openstack/guests.rs"]
mod guests;
#[path = "openstack/killed.rs"]
mod killed;
#[path = "openstack/many.rs"]
mod many;
#[path = "openstack/objects.rs"]
mod objects;
#[path = "openstack/program.rs"]
mod program;
#[path = "openstack/recorded.rs"]
mod recorded;
#[path = "openstack/refused.rs"]
mod refused;
#[path = "openstack/renewed.rs"]
mod renewed;
#[path = "openstack/shares.rs"]
mod shares;
#[path = "openstack/stack.rs"]
mod stack;
#[path = "openstack/world.rs"]
mod world;
