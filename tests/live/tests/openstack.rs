//! The provider `openstack` against a real OpenStack: `cargo xtask live openstack`.

#[path = "openstack/contract.rs"]
mod contract;
#[path = "openstack/killed.rs"]
mod killed;
#[path = "openstack/refused.rs"]
mod refused;
#[path = "openstack/stack.rs"]
mod stack;
#[path = "openstack/world.rs"]
mod world;
