//! The cluster's API: listings, server-side apply, delete. Failures come as sentences.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{Configured, Diagnostic, FetchFailure, Machine, Machines, Query};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
};
use kube::config::{Config as KubeConfig, KubeConfigOptions};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OnceCell};

use crate::config::Config;
use crate::manifest::Identity;

/// A cluster.
pub(crate) struct Cluster {
    config: Config,
    machines: Arc<dyn Machines>,
    client: OnceCell<Client>,
    kinds: Mutex<HashMap<(String, String), (ApiResource, Scope)>>,
}

/// Who dmp is to the API server: the owner of the fields that it sets.
pub(crate) const MANAGER: &str = "dmp";
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);
const TRIES: u32 = 6;

impl Cluster {
    pub(crate) fn new(config: Config, machines: Arc<dyn Machines>) -> Self {
        Self {
            config,
            machines,
            client: OnceCell::new(),
            kinds: Mutex::default(),
        }
    }

    async fn client(&self) -> Result<&Client, FetchFailure> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client, FetchFailure> {
        let options = KubeConfigOptions {
            context: self.config.context.clone(),
            ..KubeConfigOptions::default()
        };
        let refused =
            |why: String| FetchFailure::Refused(format!("the kubeconfig can't be used: {why}"));
        let mut config =
            KubeConfig::from_custom_kubeconfig(self.config.kubeconfig.clone(), &options)
                .await
                .map_err(|error| refused(error.to_string()))?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(ANSWER);
        if let Some(via) = &self.config.via {
            let host = config.cluster_url.host().unwrap_or_default().to_owned();
            let port = config.cluster_url.port_u16().unwrap_or(443);
            let local = forward(Arc::clone(&self.machines), via.clone(), host.clone(), port)
                .await
                .map_err(|error| FetchFailure::Unreachable(error.to_string()))?;
            // The certificate is still checked for the API's own name.
            config.tls_server_name.get_or_insert(host);
            config.cluster_url = format!("https://127.0.0.1:{local}")
                .parse()
                .map_err(|_| refused("its server has no address".into()))?;
        }
        Client::try_from(config).map_err(|error| refused(error.to_string()))
    }

    /// The API resource of a kind. `None` where the cluster does not know it (yet).
    async fn kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<(ApiResource, Scope)>, FetchFailure> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.kinds.lock().await.get(&key) {
            return Ok(Some(known.clone()));
        }
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let wanted = GroupVersionKind::gvk(group, version, kind);
        let client = self.client().await?;
        let found = repeat(|| kube::discovery::pinned_kind(client, &wanted)).await;
        match found {
            Ok((resource, capabilities)) => {
                let found = (resource, capabilities.scope);
                self.kinds.lock().await.insert(key, found.clone());
                Ok(Some(found))
            }
            Err(kube::Error::Discovery(_)) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(failure(&error)),
        }
    }

    async fn api(&self, identity: &Identity) -> Result<Option<Api<DynamicObject>>, FetchFailure> {
        let Some((resource, scope)) = self.kind(&identity.api_version, &identity.kind).await?
        else {
            return Ok(None);
        };
        let client = self.client().await?.clone();
        Ok(Some(match scope {
            Scope::Cluster => Api::all_with(client, &resource),
            Scope::Namespaced => {
                Api::namespaced_with(client, identity.namespace_or_default(), &resource)
            }
        }))
    }

    /// All objects of a kind, page by page.
    async fn list(&self, api_version: &str, kind: &str) -> Result<Json, FetchFailure> {
        let Some((resource, _)) = self.kind(api_version, kind).await? else {
            return Ok(json!([]));
        };
        let api: Api<DynamicObject> = Api::all_with(self.client().await?.clone(), &resource);
        let mut items = Vec::new();
        let mut parameters = ListParams::default().limit(500);
        loop {
            let page = repeat(|| api.list(&parameters))
                .await
                .map_err(|error| failure(&error))?;
            for mut item in page.items {
                // Items of a list do not name their kind.
                item.types = Some(kube::core::TypeMeta {
                    api_version: api_version.into(),
                    kind: kind.into(),
                });
                items.push(
                    serde_json::to_value(item)
                        .map_err(|error| FetchFailure::Refused(error.to_string()))?,
                );
            }
            match page.metadata.continue_ {
                // A server that gives the same page for ever is not followed.
                Some(next)
                    if !next.is_empty() && parameters.continue_token.as_ref() != Some(&next) =>
                {
                    parameters.continue_token = Some(next);
                }
                _ => return Ok(Json::Array(items)),
            }
        }
    }

    async fn answer(&self, query: &Query) -> Result<Json, FetchFailure> {
        let not_understood = || FetchFailure::NotUnderstood(query.0.clone());
        let (api_version, kind) = query.0.split_once(' ').ok_or_else(not_understood)?;
        self.list(api_version, kind).await
    }

    /// One object. `None` with authority: there is none.
    pub(crate) async fn get(&self, identity: &Identity) -> Result<Option<Json>, Diagnostic> {
        let Some(api) = self
            .api(identity)
            .await
            .map_err(|failure| cannot("read", identity, &failure))?
        else {
            return Ok(None);
        };
        let found = repeat(|| api.get_opt(&identity.name)).await;
        let found = found.map_err(|error| cannot("read", identity, &failure(&error)))?;
        Ok(found.and_then(|object| serde_json::to_value(object).ok()))
    }

    /// Applies a manifest. A kind that is only being defined is waited for.
    pub(crate) async fn apply(
        &self,
        identity: &Identity,
        manifest: &Json,
        force: bool,
    ) -> Result<(), Diagnostic> {
        let api = self.api_or_wait(identity).await?;
        let mut parameters = PatchParams::apply(MANAGER);
        parameters.force = force;
        let patch = Patch::Apply(manifest);
        // An apply says what shall be: it is safe to repeat.
        match repeat(|| api.patch(&identity.name, &parameters, &patch)).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let diagnostic = cannot("apply", identity, &failure(&error));
                Err(match error {
                    kube::Error::Api(status) if status.code == 409 => diagnostic.help(
                        "another manager owns these fields: take them out of the manifest, or set `force = true`",
                    ),
                    _ => diagnostic,
                })
            }
        }
    }

    /// Changes an object by a merge, for what stood there before dmp.
    pub(crate) async fn merge(&self, identity: &Identity, patch: &Json) -> Result<(), Diagnostic> {
        let api = self.api_or_wait(identity).await?;
        let (parameters, patch) = (
            PatchParams {
                field_manager: Some(MANAGER.into()),
                ..PatchParams::default()
            },
            Patch::Merge(patch),
        );
        let merged = repeat(|| api.patch(&identity.name, &parameters, &patch)).await;
        merged
            .map(|_| ())
            .map_err(|error| cannot("put back", identity, &failure(&error)))
    }

    /// Deletes the very object with this uid; already gone is success.
    pub(crate) async fn delete(
        &self,
        identity: &Identity,
        uid: Option<&str>,
    ) -> Result<(), Diagnostic> {
        let Some(api) = self
            .api(identity)
            .await
            .map_err(|failure| cannot("delete", identity, &failure))?
        else {
            return Ok(());
        };
        let parameters = DeleteParams {
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match repeat(|| api.delete(&identity.name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(cannot("delete", identity, &failure(&error))),
        }
    }

    async fn api_or_wait(&self, identity: &Identity) -> Result<Api<DynamicObject>, Diagnostic> {
        for _ in 0..30 {
            match self.api(identity).await {
                Ok(Some(api)) => return Ok(api),
                Ok(None) => tokio::time::sleep(Duration::from_secs(1)).await,
                Err(failure) => return Err(cannot("apply", identity, &failure)),
            }
        }
        Err(
            Diagnostic::remote("no-such-kind", "the cluster does not know this kind")
                .detail(format!(
                    "`{}` of `{}` is not served",
                    identity.kind, identity.api_version
                ))
                .help(
                    "apply its definition in the same stack and refer to it, or check the spelling",
                ),
        )
    }
}

/// Repeats what is safe to repeat while the server is too busy or can't be reached, with growing pauses.
async fn repeat<T, F>(mut call: impl FnMut() -> F) -> Result<T, kube::Error>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let mut pause = Duration::from_millis(250);
    for _ in 1..TRIES {
        match call().await {
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
    call().await
}

fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            matches!(status.code, 429 | 500 | 502 | 503 | 504)
                || is_role_still_made(&status.message)
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// A server that has just begun answers "forbidden" until its own roles are made.
fn is_role_still_made(message: &str) -> bool {
    message.contains("RBAC: clusterrole.rbac.authorization.k8s.io") && message.contains("not found")
}

fn failure(error: &kube::Error) -> FetchFailure {
    match error {
        kube::Error::Api(status) => FetchFailure::Refused(format!(
            "{} ({} {})",
            status.message, status.code, status.reason
        )),
        kube::Error::HyperError(error) => FetchFailure::Unreachable(chain(error)),
        kube::Error::Service(error) => FetchFailure::Unreachable(chain(error.as_ref())),
        other => FetchFailure::Refused(other.to_string()),
    }
}

/// An error with its causes: the outer one mostly says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if words.last() != Some(&text) {
            words.push(text);
        }
        next = source.source();
    }
    words.join(": ")
}

fn cannot(verb: &str, identity: &Identity, failure: &FetchFailure) -> Diagnostic {
    Diagnostic::remote("kubernetes", format!("cannot {verb} an object"))
        .detail(format!("{identity}"))
        .cause(failure.to_string())
}

/// Listens on the loopback and passes every connection on through a machine. Ends with the process.
async fn forward(
    machines: Arc<dyn Machines>,
    via: Machine,
    host: String,
    port: u16,
) -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let local = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (machines, via, host) = (Arc::clone(&machines), via.clone(), host.clone());
            tokio::spawn(async move {
                // A stream that can't be opened closes the connection: the client says so.
                if let Ok(mut far) = machines.open_stream(&via, &host, port).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    Ok(local)
}

#[async_trait]
impl Configured for Cluster {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// A query is a kind: `apiVersion kind`. The answer is the list of its objects.
    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        futures::future::join_all(queries.iter().map(|query| self.answer(query))).await
    }
}
