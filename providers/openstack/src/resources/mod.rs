//! One file per resource type.

pub(crate) mod application_credential;
pub(crate) mod balancer;
pub(crate) mod floating_ip;
pub(crate) mod floating_ip_association;
pub(crate) mod image;
pub(crate) mod keypair;
pub(crate) mod network;
pub(crate) mod port;
mod primary;
pub(crate) mod recordset;
pub(crate) mod router;
pub(crate) mod router_interface;
pub(crate) mod router_route;
pub(crate) mod security_group;
pub(crate) mod security_group_rule;
pub(crate) mod server;
pub(crate) mod server_group;
pub(crate) mod share;
pub(crate) mod store;
pub(crate) mod subnet;
pub(crate) mod volume;
pub(crate) mod volume_attachment;
pub(crate) mod volume_snapshot;
pub(crate) mod zone;

use crate::object::Task;
use crate::session::Service;
use crate::values::{items, text};

/// The ports that a query finds, in words: what still needs a network, a subnet, a router.
async fn ports_in_words(task: &Task<'_>, query: &str) -> Vec<String> {
    let path = format!(
        "/ports?{query}&fields=id&fields=name&fields=device_owner&fields=device_id&limit=5"
    );
    let Ok(answer) = task.cloud.session.get(Service::Network, &path).await else {
        return Vec::new();
    };
    let words = items(&answer["ports"]).iter().map(|port| {
        let id = text(port, "id").unwrap_or_default();
        match (text(port, "device_owner"), text(port, "device_id")) {
            (Some(owner), Some(device)) => format!("the port `{id}` ({owner} of `{device}`)"),
            _ => format!("the port `{id}`"),
        }
    });
    words.collect()
}
