//! The configured form of the provider: the way to machines for what can't be said as steps, and what a plan is told
//! before its first change. It needs no configuration and keeps nothing.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use dmp_sdk::{Configured, Diagnostic, FetchFailure, Intended, Machines, Query};
use dmp_transport::ssh_config::SshConfig;
use serde_json::Value as Json;

use crate::on_host::{flag, text, texts};
use crate::resources::locks_out;
use crate::way;

/// What `call` of a resource type finds behind its context.
pub(crate) struct OnHosts {
    pub(crate) machines: Arc<dyn Machines>,
    /// Of the person who runs dmp.
    pub(crate) ssh_config: SshConfig,
}

#[async_trait]
impl Configured for OnHosts {
    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        let answers = queries
            .iter()
            .map(|query| way::answer(&self.ssh_config, query));
        answers.collect()
    }

    async fn preflight(&self, changes: &[Intended<'_>]) -> Vec<Diagnostic> {
        changes.iter().filter_map(warning).collect()
    }
}

/// What a delete does that the words of its type do not say.
fn warning(change: &Intended<'_>) -> Option<Diagnostic> {
    let prior = change.prior.filter(|_| change.action.deletes())?;
    let warning = match change.address.resource_type.as_ref() {
        "host_user" if flag(prior, "remove_home") => {
            let (name, home) = (text(prior, "name"), text(prior, "home"));
            Diagnostic::warning("loses-home", "a home directory is removed").detail(format!(
                "`{home}` goes with all that is in it, unless {name} was there before dmp"
            ))
        }
        "host_authorized_keys" => {
            let words = locks_out(prior, &texts(prior, "keys"), &[])?;
            Diagnostic::warning("locks-out", "dmp may lock itself out")
                .detail(format!("{words}; keys that were there before dmp stay"))
        }
        _ => return None,
    };
    Some(warning.address(change.address))
}

#[cfg(test)]
mod tests {
    use dmp_sdk::{Action, Address, Value};

    use super::*;
    use crate::on_host::tests::a_machine;

    fn told(resource_type: &str, action: Action, prior: &Value) -> String {
        let address = Address::managed(resource_type, "x");
        let change = Intended {
            address: &address,
            action,
            prior: Some(prior),
            planned: None,
        };
        warning(&change)
            .map(|warning| warning.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn what_a_delete_would_take_along_is_warned_of() {
        let user = Value::object_of([
            ("name", "alice".into()),
            ("home", "/home/alice".into()),
            ("remove_home", true.into()),
        ]);
        let words = told("host_user", Action::Delete, &user);
        assert!(
            words.contains("`/home/alice` goes with all that is in it"),
            "{words}"
        );
        assert_eq!(told("host_user", Action::Update, &user), "");
        let kept = user.with("remove_home", false.into());
        assert_eq!(told("host_user", Action::Delete, &kept), "");

        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let keys = Value::object_of([
            ("host", a_machine().to_value()),
            ("user", "root".into()),
            ("keys", Value::set(vec![key.into()])),
        ]);
        let words = told("host_authorized_keys", Action::Delete, &keys);
        assert!(words.contains("dmp logs in as root"), "{words}");
        let of_another = keys.with("user", "alice".into());
        assert_eq!(
            told("host_authorized_keys", Action::Delete, &of_another),
            ""
        );
    }
}
