//! Before the first change: whether what is planned can succeed, asked of each provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dmp_plan::redact::Secrets;
use dmp_plan::{Plan, ProviderState};
use dmp_sdk::{Action, Configured, Diagnostic, Intended};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use crate::reader::Reader;

impl Reader {
    /// Asks every provider that has changes to make whether they can succeed. A provider that is configured by what the
    /// same plan makes can't be asked yet.
    pub(crate) async fn preflight(
        &self,
        plan: &Plan,
        providers: &BTreeMap<String, ProviderState>,
    ) -> Vec<Diagnostic> {
        let mut changes: BTreeMap<&str, Vec<Intended<'_>>> = BTreeMap::new();
        for planned in plan.instances.values() {
            let is_asked = !matches!(
                planned.action,
                Action::NoOp | Action::Read | Action::Defer | Action::Forget | Action::LostWithHost
            );
            if is_asked {
                let intended = Intended {
                    address: &planned.address,
                    action: planned.action,
                    prior: planned.prior.as_ref(),
                    planned: planned.planned.as_ref(),
                };
                changes.entry(&planned.provider).or_default().push(intended);
            }
        }
        let mut asked: Vec<BoxFuture<'_, Vec<Diagnostic>>> = Vec::new();
        for (address, changes) in changes {
            let state = providers.get(address);
            let Some((state, provider)) = state.zip(state.and_then(|it| it.configured.clone()))
            else {
                continue;
            };
            let values = changes
                .iter()
                .flat_map(|change| [change.prior, change.planned]);
            let secrets = Secrets::of(values.flatten().chain([&state.config]));
            asked.push(
                async move { self.look_ahead(address, provider, &changes, &secrets).await }.boxed(),
            );
        }
        let found: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        found.concat()
    }

    async fn look_ahead(
        &self,
        address: &str,
        provider: Arc<dyn Configured>,
        changes: &[Intended<'_>],
        secrets: &Secrets,
    ) -> Vec<Diagnostic> {
        let asked = self.patiently(address, provider.preflight(changes));
        match tokio::time::timeout(DEADLINE, asked).await {
            Ok(found) => found
                .into_iter()
                .map(|diagnostic| secrets.hide_in(diagnostic))
                .collect(),
            Err(_) => vec![
                Diagnostic::warning(
                    "not-looked-ahead",
                    "cannot tell whether the plan can succeed",
                )
                .detail(format!(
                    "`{address}` has not said within {} s whether what is planned is possible",
                    DEADLINE.as_secs()
                )),
            ],
        }
    }
}

const AT_ONCE: usize = 64;
const DEADLINE: Duration = Duration::from_secs(60);
