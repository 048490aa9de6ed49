//! `openstack_floating_ip_association`: what a floating IP leads to.

use dmp_sdk::{
    Attribute, Change, Diagnostic, Effect, Layer, MarkWay, Quantifier, Schema, Type, Value,
};
use serde_json::{Value as Json, json};

use crate::cloud::{Question, found};
use crate::object::{Keyed, Seen, State, Task};
use crate::session::{Service, Verb};
use crate::values::{items, text, text_at};

/// The model.
pub(crate) struct FloatingIpAssociation;

fn path(id: &str) -> String {
    format!("/floatingips/{}", crate::values::segment(id))
}

async fn look(task: &Task<'_>, id: &str) -> Result<Option<Json>, Diagnostic> {
    let found = task.look(Service::Network, &path(id), "floatingip").await;
    found.map_err(|error| error.diagnostic("cannot read a floating IP"))
}

/// Lets it lead to a port; null: to nothing.
async fn lead(
    task: &Task<'_>,
    id: &str,
    port: Option<&str>,
    address: Option<&str>,
) -> Result<(), Diagnostic> {
    let mut floating = json!({ "port_id": port });
    if let (Some(_), Some(address)) = (port, address) {
        floating["fixed_ip_address"] = json!(address);
    }
    let title = match port {
        Some(_) => "let a floating IP lead to a port",
        None => "let a floating IP lead to nothing",
    };
    let body = json!({ "floatingip": floating });
    let led = task
        .change(title, Service::Network, Verb::Put, &path(id), &body)
        .await;
    match led {
        Ok(_) => Ok(()),
        Err(error) if error.is_missing() && port.is_none() => Ok(()),
        Err(error) => {
            let is_unreachable = error.refusal().is_some_and(|refused| {
                refused.says(&["ExternalGatewayForFloatingIPNotFound", "is not reachable"])
            });
            let diagnostic = error.diagnostic("cannot associate a floating IP");
            Err(match is_unreachable {
                true => diagnostic.help("join the port's subnet to a router that leads out to the floating IP's network, and let this wait for it: `depends_on` the `openstack_router_interface`"),
                false => diagnostic,
            })
        }
    }
}

#[async_trait::async_trait]
impl Keyed for FloatingIpAssociation {
    fn schema(&self) -> Schema {
        Schema::new(
            "openstack_floating_ip_association",
            "That a floating IP leads to a port.",
        )
        .layer(Layer::Network)
        .mark(MarkWay::NaturalKey(&["floating_ip_id"]))
        .on_delete("The floating IP leads where it led before dmp, or to nothing.")
        .attribute(
            "floating_ip_id",
            Attribute::required(Type::String, "The floating IP.")
                .hosting(Quantifier::All)
                .replaces()
                .unique(),
        )
        .attribute("port_id", Attribute::required(Type::String, "The port."))
        .attribute(
            "fixed_ip_address",
            Attribute::optional_computed(
                Type::String,
                "Which of the port's addresses, where it has several.",
            ),
        )
        .attribute(
            "address",
            Attribute::computed(Type::String, "The floating IP itself."),
        )
        .attribute(
            "project_id",
            Attribute::computed(Type::String, "The project that it is in."),
        )
    }

    fn questions(&self, value: &Value, alone: bool) -> Vec<Question> {
        let id = text_at(value, "floating_ip_id").unwrap_or_default();
        vec![match alone {
            true => Question::One {
                service: Service::Network,
                path: path(&id),
            },
            false => Question::list(Service::Network, "/floatingips", "floatingips"),
        }]
    }

    fn read(&self, known: &Value, answers: &[&Json]) -> Result<Option<Seen>, Diagnostic> {
        let id = text_at(known, "floating_ip_id").unwrap_or_default();
        let Some(answer) = answers.first() else {
            return Ok(None);
        };
        let one = found(answer);
        let mut all = items(one).iter().chain(one.get("floatingip"));
        let leading = all.find(|item| item["id"] == id.as_str());
        let Some((floating, port)) = leading.and_then(|item| Some((item, text(item, "port_id")?)))
        else {
            return Ok(None);
        };
        Ok(Some(Seen {
            attributes: known
                .with("port_id", port.into())
                .with(
                    "fixed_ip_address",
                    text(floating, "fixed_ip_address").into(),
                )
                .with("address", text(floating, "floating_ip_address").into())
                .with("project_id", text(floating, "project_id").into()),
            id,
            state: State::Ready,
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        if change.prior.is_some()
            && change.changes("port_id")
            && change.config.get("fixed_ip_address").is_null()
        {
            change.unknown("fixed_ip_address");
        }
        if let (None, Some(earlier)) = (change.prior, change.earlier) {
            let port = text_at(earlier, "port_id").unwrap_or_default();
            change.note(format!(
                "it leads to the port `{port}` now; a delete puts that back"
            ));
        }
        Ok(())
    }

    fn plan_delete(&self, prior: &Value) -> (Vec<Effect>, Vec<String>) {
        let what = format!(
            "what is reached by {}",
            text_at(prior, "address").unwrap_or_default()
        );
        (vec![Effect::Downtime { what }], Vec::new())
    }

    async fn bring(&self, task: &Task<'_>, wanted: &Value) -> Result<(), Diagnostic> {
        let id = text_at(wanted, "floating_ip_id").unwrap_or_default();
        let port = text_at(wanted, "port_id");
        let address = text_at(wanted, "fixed_ip_address");
        let now = look(task, &id).await?.ok_or_else(|| {
            Diagnostic::remote("gone", "cannot associate a floating IP")
                .cause("the floating IP is gone")
        })?;
        let is_so = text(&now, "port_id") == port
            && address
                .as_ref()
                .is_none_or(|address| text(&now, "fixed_ip_address").as_ref() == Some(address));
        match is_so {
            true => Ok(()),
            false => lead(task, &id, port.as_deref(), address.as_deref()).await,
        }
    }

    async fn remove(&self, task: &Task<'_>, prior: &Value) -> Result<(), Diagnostic> {
        self.lead_back(task, prior, None).await
    }

    async fn put_back(
        &self,
        task: &Task<'_>,
        prior: &Value,
        earlier: &Value,
    ) -> Result<(), Diagnostic> {
        self.lead_back(task, prior, Some(earlier)).await
    }
}

impl FloatingIpAssociation {
    /// Leads it to where it led before, or nowhere.
    async fn lead_back(
        &self,
        task: &Task<'_>,
        prior: &Value,
        earlier: Option<&Value>,
    ) -> Result<(), Diagnostic> {
        let id = text_at(prior, "floating_ip_id").unwrap_or_default();
        let Some(now) = look(task, &id).await? else {
            return Ok(());
        };
        let has = text(&now, "port_id");
        let before = earlier.and_then(|earlier| text_at(earlier, "port_id"));
        // What somebody else has led elsewhere meanwhile is no longer ours.
        if has == before || has.is_some() && has != text_at(prior, "port_id") {
            return Ok(());
        }
        let address = earlier.and_then(|earlier| text_at(earlier, "fixed_ip_address"));
        lead(task, &id, before.as_deref(), address.as_deref()).await
    }
}
