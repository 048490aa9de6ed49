//! The cluster's API: listings, server-side apply, delete. Failures come as sentences.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{Configured, Diagnostic, FetchFailure, Machine, Machines, Query};
use futures::FutureExt;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
};
use kube::client::ClientBuilder;
use kube::config::{Config as KubeConfig, KubeConfigOptions};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OnceCell};
use tower::util::MapResponseLayer;

use crate::config::Config;
use crate::dry_run::{Conflict, Told, Trial};
use crate::manifest::Identity;
use crate::patience::{CallError, Patience, is_about_the_manifest};

/// A cluster.
pub(crate) struct Cluster {
    config: Config,
    machines: Arc<dyn Machines>,
    patience: Patience,
    client: OnceCell<Client>,
    kinds: Mutex<HashMap<(String, String), (ApiResource, Scope)>>,
}

/// Why a manifest was not applied.
pub(crate) enum NotApplied {
    /// Other managers own fields of it.
    Conflicts(Vec<Conflict>),
    /// Everything else.
    Failed(Box<Diagnostic>),
}

impl From<Diagnostic> for NotApplied {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Failed(Box::new(diagnostic))
    }
}

/// Who dmp is to the API server: the owner of the fields that it sets.
pub(crate) const MANAGER: &str = "dmp";
const CONNECT: Duration = Duration::from_secs(10);
/// How many questions that can't be asked together are under way at once.
const AT_ONCE: usize = 16;

impl Cluster {
    pub(crate) fn new(config: Config, machines: Arc<dyn Machines>) -> Self {
        Self {
            patience: Patience::new(config.request),
            config,
            machines,
            client: OnceCell::new(),
            kinds: Mutex::default(),
        }
    }

    /// How long one call is tried for at most.
    pub(crate) fn patience(&self) -> Duration {
        self.patience.longest()
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
        // Our own patience asks again: it knows how long altogether.
        config.read_timeout = None;
        config.default_retry = false;
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
        let patience = self.patience.clone();
        let heed = MapResponseLayer::new(move |response| heeded(&patience, response));
        let builder =
            ClientBuilder::try_from(config).map_err(|error| refused(error.to_string()))?;
        Ok(builder.with_layer(&heed).build())
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
        let found = self
            .patience
            .repeat(|| kube::discovery::pinned_kind(client, &wanted))
            .await;
        match found {
            Ok((resource, capabilities)) => {
                let found = (resource, capabilities.scope);
                self.kinds.lock().await.insert(key, found.clone());
                Ok(Some(found))
            }
            Err(CallError::Kube(kube::Error::Discovery(_))) => Ok(None),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error.failure()),
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
            let page = self
                .patience
                .repeat(|| api.list(&parameters))
                .await
                .map_err(|error| error.failure())?;
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
        if let Some(trial) = Trial::of_query(query) {
            return self.dry_run(&trial).await;
        }
        // What is asked may hold a manifest: it is in no message.
        let not_understood = || FetchFailure::NotUnderstood("no such question".into());
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
        let found = self.patience.repeat(|| api.get_opt(&identity.name)).await;
        let found = found.map_err(|error| cannot("read", identity, &error.failure()))?;
        Ok(found.and_then(|object| serde_json::to_value(object).ok()))
    }

    /// Applies a manifest. A kind that is only being defined is waited for.
    pub(crate) async fn apply(
        &self,
        identity: &Identity,
        manifest: &Json,
        force: bool,
    ) -> Result<(), NotApplied> {
        let api = self.api_or_wait(identity).await?;
        let parameters = PatchParams {
            force,
            ..PatchParams::apply(MANAGER)
        };
        let patch = Patch::Apply(manifest);
        // An apply says what shall be: it is safe to repeat.
        let applied = self
            .patience
            .repeat(|| api.patch(&identity.name, &parameters, &patch));
        match applied.await {
            Ok(_) => Ok(()),
            Err(error) => Err(match conflicts(&error) {
                Some(conflicts) => NotApplied::Conflicts(conflicts),
                None => NotApplied::Failed(Box::new(cannot("apply", identity, &error.failure()))),
            }),
        }
    }

    /// What applying a manifest would come to. The server does all but store it.
    async fn dry_run(&self, trial: &Trial) -> Result<Json, FetchFailure> {
        let identity = &trial.identity;
        let Some(api) = self.api(identity).await? else {
            return Ok(Told::NotYet.to_json());
        };
        let patch = Patch::Apply(&trial.manifest);
        let ask = |force: bool| {
            let api = api.clone();
            let parameters = PatchParams {
                force,
                dry_run: true,
                ..PatchParams::apply(MANAGER)
            };
            let patch = &patch;
            async move {
                self.patience
                    .repeat(|| api.patch(&identity.name, &parameters, patch))
                    .await
            }
        };
        let mut found = Vec::new();
        let mut answer = ask(trial.force).await;
        if let Err(error) = &answer
            && let Some(conflicts) = conflicts(error)
        {
            found = conflicts;
            answer = ask(true).await;
        }
        let object = match answer {
            Ok(object) => object,
            Err(error) => return told_by(&error).map(|told| told.to_json()),
        };
        let object = serde_json::to_value(object)
            .map_err(|error| FetchFailure::Refused(error.to_string()))?;
        Ok(Told::Object(object, found).to_json())
    }

    /// Changes an object by a merge, for what stood there before dmp. Says whether it is there at all.
    pub(crate) async fn merge(
        &self,
        identity: &Identity,
        patch: &Json,
    ) -> Result<bool, Diagnostic> {
        let api = self.api_or_wait(identity).await?;
        let (parameters, patch) = (
            PatchParams {
                field_manager: Some(MANAGER.into()),
                ..PatchParams::default()
            },
            Patch::Merge(patch),
        );
        let merged = self
            .patience
            .repeat(|| api.patch(&identity.name, &parameters, &patch))
            .await;
        match merged {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(404) => Ok(false),
            Err(error) => Err(cannot("put back", identity, &error.failure())),
        }
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
        match self
            .patience
            .repeat(|| api.delete(&identity.name, &parameters))
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(404) => Ok(()),
            Err(error) => Err(cannot("delete", identity, &error.failure())),
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

/// An answer that is taken note of.
fn heeded<B>(patience: &Patience, response: http::Response<B>) -> http::Response<B> {
    patience.heed(&response);
    response
}

/// The fields that other managers own, if that is why an apply was refused.
fn conflicts(error: &CallError) -> Option<Vec<Conflict>> {
    let status = error.status().filter(|status| status.code == 409)?;
    let causes = &status.details.as_ref()?.causes;
    let found: Vec<Conflict> = causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| Conflict::of(&cause.field, &cause.message))
        .collect();
    (!found.is_empty()).then_some(found)
}

/// What a refused dry run tells of the manifest, if it is about the manifest.
fn told_by(error: &CallError) -> Result<Told, FetchFailure> {
    let Some(status) = error.status() else {
        return Err(error.failure());
    };
    let is_without = status.code == 400 && status.message.contains("does not support dry run");
    let is_elsewhere = status.code == 404 && status.message.starts_with("namespaces ");
    if is_without || is_elsewhere {
        return Ok(Told::NotYet);
    }
    match status.code {
        400 | 403 | 404 | 409 | 413 | 415 | 422 => Ok(Told::Refused(status.message.clone())),
        _ if is_about_the_manifest(status) => Ok(Told::Refused(status.message.clone())),
        _ => Err(error.failure()),
    }
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

    /// A query is a kind, `apiVersion kind`, and the answer the list of its objects; or it is a [`Trial`].
    async fn fetch(&self, queries: &[Query]) -> Vec<Result<Json, FetchFailure>> {
        let answers = queries.iter().map(|query| self.answer(query).boxed());
        dmp_sdk::side_by_side(answers.collect(), AT_ONCE).await
    }
}
