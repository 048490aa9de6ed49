//! `openstack_member`: one of those that a pool passes things on to.

use std::net::IpAddr;

use dmp_sdk::{Attribute, Change, Diagnostic, Effect, Layer, Quantifier, Schema, Type, Value};

use super::{PORTS, Part, within};
use crate::object::{Kind, Place, changing, fixed};
use crate::session::{Refusal, Service};
use crate::values::{text_at, wrong};

/// The model.
pub(crate) struct Member;

static KIND: Kind = Kind {
    noun: "member",
    service: Service::LoadBalancer,
    collection: "/lbaas/pools/{pool_id}/members",
    listing: "/lbaas/pools/{pool_id}/members",
    one: "member",
    many: "members",
    // Octavia lists those of one pool only.
    listed_by: None,
    mark: Place::Tags,
    changes: true,
    metadata_apart: false,
    has_tags: false,
    fields: &[
        changing("name").or_empty(),
        changing("admin_state_up"),
        fixed("address"),
        fixed("protocol_port"),
        changing("weight"),
        changing("backup"),
        fixed("subnet_id"),
        changing("monitor_address"),
        changing("monitor_port"),
    ],
};

#[async_trait::async_trait]
impl Part for Member {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn schema(&self) -> Schema {
        let text = |doc| Attribute::optional(Type::String, doc);
        Schema::new("openstack_member", "One of those that a pool of Octavia passes things on to. It is imported as `POOL_ID/ID`.")
            .layer(Layer::Network)
            .on_delete("Nothing is passed on to it any more; connections that it has end.")
            .counterpart("openstack_lb_member_v2", &["{pool_id}/{id}"])
            .attribute("pool_id", Attribute::required(Type::String, "The pool.").hosting(Quantifier::All).replaces())
            .attribute("address", Attribute::required(Type::String, "Its address.").replaces())
            .attribute("protocol_port", Attribute::required(Type::Number, "The port that it answers at.").replaces())
            .attribute("weight", Attribute::default(Type::Number, "How much it gets beside others, from 0 (nothing new) to 256.", 1))
            .attribute("backup", Attribute::default(Type::Bool, "Whether it gets something only while no other is well.", false))
            .attribute("subnet_id", text("The subnet that it is reached in; that of the load balancer's address where nothing is said.").replaces())
            .attribute("monitor_address", text("The address at which its health is looked at, where that is another."))
            .attribute("monitor_port", Attribute::optional(Type::Number, "The port at which its health is looked at, where that is another."))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        let planned = &change.planned;
        within(planned, "protocol_port", PORTS.0, PORTS.1)?;
        within(planned, "monitor_port", PORTS.0, PORTS.1)?;
        within(planned, "weight", 0, 256)?;
        for name in ["address", "monitor_address"] {
            let address = text_at(planned, name);
            if let Some(address) = address.filter(|address| address.parse::<IpAddr>().is_err()) {
                return Err(wrong(name, format!("`{address}` is no address")));
            }
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let address = text_at(prior, "address").unwrap_or_default();
        let what = format!("what {address} is doing for clients of the load balancer");
        (vec![Effect::Downtime { what }], Vec::new())
    }

    fn explain(&self, refused: &Refusal) -> Option<String> {
        if refused.status == 409 && refused.says(&["already has a member", "DuplicateMemberEntry"])
        {
            return Some("the pool has a member with this address and port already: import it, as `POOL_ID/ID`".into());
        }
        None
    }
}
