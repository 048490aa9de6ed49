//! The plugs of a server that is there: what is new is plugged in, what was left out is pulled, and the ports that Nova has made
//! get their security groups.

use std::time::Duration;

use dmp_sdk::{Diagnostic, Value};
use serde_json::{Value as Json, json};

use super::change::ServerWork;
use super::read::{self, Plugged};
use super::wanted::{self, Plug};
use super::{path, ports_of};
use crate::cloud::Question;
use crate::object::wait_for;
use crate::session::{ApiError, Service, Verb};
use crate::values::{segment, texts_at};

impl ServerWork<'_> {
    async fn plugged(&self, id: &str) -> Result<Vec<Plugged>, ApiError> {
        let Question::List(listing) = ports_of(id) else {
            return Ok(Vec::new());
        };
        let ports = self.task.cloud.session.list(&listing).await?;
        Ok(read::plugged(&Json::Array(ports), id))
    }

    pub(super) async fn set_plugs(&self, id: &str, wanted: &Value) -> Result<(), Diagnostic> {
        let Some(wishes) = wanted::plugs(wanted) else {
            return Ok(());
        };
        let failed = |error: ApiError| error.diagnostic("cannot change the networks of a server");
        let has = self.plugged(id).await.map_err(failed)?;
        let found = read::matched(&wishes, &has);
        // What an earlier description named and this one does not is pulled; what others have plugged in stays.
        let before = self
            .task
            .job
            .prior
            .and_then(wanted::plugs)
            .unwrap_or_default();
        for (wish, at) in before.iter().zip(read::matched(&before, &has)) {
            let Some(at) = at.filter(|at| !found.contains(&Some(*at)) && !wishes.contains(wish))
            else {
                continue;
            };
            self.pull(id, &has[at]).await.map_err(failed)?;
        }
        for (wish, at) in wishes.iter().zip(&found) {
            if at.is_none() {
                self.plug(id, wish).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    async fn plug(&self, id: &str, wish: &Plug) -> Result<(), ApiError> {
        let mut body = match &wish.port {
            Some(port) => json!({ "port_id": port }),
            None => json!({ "net_id": wish.network }),
        };
        if let Some(address) = &wish.address {
            body["fixed_ips"] = json!([{ "ip_address": address }]);
        }
        if let Some(tag) = &wish.tag {
            body["tag"] = json!(tag);
        }
        let title = format!("plug {} into a network", self.name());
        let body = json!({ "interfaceAttachment": body });
        let path = format!("{}/os-interface", path(id));
        self.task
            .change(&title, Service::Compute, Verb::Post, &path, &body)
            .await?;
        wait_for(self.task.cx, "the plug to be in", CHANGED, || async move {
            let has = self.plugged(id).await?;
            let is_in = read::matched(std::slice::from_ref(wish), &has) != [None];
            Ok(is_in.then_some(()))
        })
        .await
    }

    async fn pull(&self, id: &str, plug: &Plugged) -> Result<(), ApiError> {
        let title = format!("pull a plug of {}", self.name());
        let path = format!("{}/os-interface/{}", path(id), segment(&plug.port));
        match self
            .task
            .change(&title, Service::Compute, Verb::Delete, &path, &Json::Null)
            .await
        {
            Ok(_) => {}
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
        wait_for(self.task.cx, "the plug to be out", CHANGED, || async move {
            let has = self.plugged(id).await?;
            Ok((!has.iter().any(|other| other.port == plug.port)).then_some(()))
        })
        .await
    }

    pub(super) async fn set_groups(&self, id: &str, wanted: &Value) -> Result<(), Diagnostic> {
        if wanted.get("security_group_ids").is_null() {
            return Ok(());
        }
        let failed =
            |error: ApiError| error.diagnostic("cannot set the security groups of a server");
        let wants = texts_at(wanted, "security_group_ids");
        let wishes = wanted::plugs(wanted).unwrap_or_default();
        let has = self.plugged(id).await.map_err(failed)?;
        for plug in read::made_by_nova(&wishes, &has) {
            let mut groups = plug.groups.clone();
            groups.sort();
            if groups == wants {
                continue;
            }
            let title = format!("set the security groups of {}", self.name());
            let path = format!("/ports/{}", segment(&plug.port));
            let body = json!({ "port": { "security_groups": wants } });
            let set = self
                .task
                .change(&title, Service::Network, Verb::Put, &path, &body)
                .await;
            set.map_err(failed)?;
        }
        Ok(())
    }
}

const CHANGED: Duration = Duration::from_secs(300);
