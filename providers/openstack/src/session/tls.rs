//! Whom the client trusts, and the client itself.

use std::time::Duration;

use dmp_cloud::words;

use super::Reach;

/// Whose certificates are accepted.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// Those of authorities that the system knows.
    System,
    /// Those of these authorities (PEM), and of no others.
    Authorities(String),
    /// Everybody's.
    Nobody,
}

/// The HTTP client. Redirects are not followed: a token goes where it was meant for.
pub(super) fn http_client(reach: &Reach) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(reach.at_once)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("dmp/", env!("CARGO_PKG_VERSION")));
    let builder = match &reach.trust {
        Trust::System => builder,
        Trust::Nobody => builder.tls_danger_accept_invalid_certs(true),
        Trust::Authorities(pem) => {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty());
            let certificates =
                certificates.ok_or("the authorities hold no certificate in PEM's form")?;
            builder.tls_certs_only(certificates)
        }
    };
    let builder = match &reach.identity {
        None => builder,
        Some(pem) => {
            let identity = reqwest::Identity::from_pem(pem.as_bytes())
                .map_err(|_| "the client's certificate and key are not in PEM's form")?;
            builder.identity(identity)
        }
    };
    builder.build().map_err(|error| words(&error))
}

const CONNECT: Duration = Duration::from_secs(10);
