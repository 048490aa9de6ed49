//! The lab on the wire: TLS, who calls, what was sent, what is answered.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod gate;
mod respond;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod tls;
