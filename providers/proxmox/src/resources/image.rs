//! `proxmox_image`: a file on a storage, fetched by a node or sent from here, that machines begin as or boot from.
//!
//! Storages keep no mark with a file: its place is its key, and a file that is there already is never replaced.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use dmp_sdk::{
    Answers, Attribute, AttributePath, Change, Cx, Diagnostic, Fetch, Job, Known, Layer, MarkWay,
    Object, Purpose, Reading, Resource, Schema, Type, Value, Verb, Work, configured,
};
use serde_json::Value as Json;

use super::vm::wanted::{flag, text};
use crate::client::{ApiError, Method, Upid, Upload, UploadSource, Watch, items, parameters};
use crate::cluster::{Cluster, Question};
use crate::values;

/// The resource type.
pub(crate) struct Image {
    schema: Schema,
}

impl Image {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "proxmox_image",
            "A file on a storage of Proxmox VE: a disk image that machines begin as (`content = \"import\"`, from release 8.3 on), a disc, or a container's template. \
             A node fetches it from a `url`, or it is sent from here.",
        )
        .layer(Layer::Machine)
        .mark(MarkWay::NaturalKey(&["storage", "content", "file_name", "node"]))
        .on_delete("The file is removed from the storage. Machines that began as it stay as they are.")
        .attribute("storage", Attribute::required(Type::String, "The storage. It has to have the content type.").replaces().unique())
        .attribute("node", Attribute::optional(Type::String, "The node, for a storage that each node has by itself, such as `local`.").replaces().unique())
        .attribute("content", Attribute::default(Type::String, "`import`, `iso` or `vztmpl`.", "import").replaces().unique())
        .attribute("file_name", Attribute::required(Type::String, "Its name on the storage. Its end says what it is: `.qcow2`, `.raw`, `.vmdk` or `.ova` for `import`, `.iso` or `.img` for `iso`.").replaces().unique())
        .attribute("url", Attribute::optional(Type::String, "Where the node fetches it, `https://…`. A change makes another file.").replaces())
        .attribute("source", Attribute::optional(Type::String, "A file here that is sent, in place of `url`.").replaces())
        .attribute("checksum", Attribute::optional(Type::String, "What the file has to be, as `sha256:…` or `sha512:…`; it is compared on the node. Only `sha256` for a file that is sent.").replaces())
        .attribute("compression", Attribute::optional(Type::String, "`gz`, `lzo`, `zst` or `bz2`, where what is fetched is to be unpacked.").replaces())
        .attribute("verify_certificates", Attribute::default(Type::Bool, "Whether the node checks the certificate of the `url`.", true))
        .attribute("volume", Attribute::computed(Type::String, "Its volume, such as `local:import/debian-13.qcow2`: what a disk takes as `import_from`."))
        .attribute("size_bytes", Attribute::computed(Type::Number, "Its size."));
        Self { schema }
    }
}

const KEY: [&str; 4] = ["storage", "node", "content", "file_name"];

fn volume(value: &Value) -> String {
    let part = |name: &str| text(value, name).unwrap_or_default();
    format!(
        "{}:{}/{}",
        part("storage"),
        part("content"),
        part("file_name")
    )
}

/// What an `import` block's id says: a volume, with `@node` where it is on one node alone.
fn of_id(id: &str) -> Option<Value> {
    let (volume, node) = match id.rsplit_once('@') {
        Some((volume, node)) => (volume, Some(node.to_owned())),
        None => (id, None),
    };
    let (storage, rest) = volume.split_once(':')?;
    let (content, name) = rest.split_once('/')?;
    Some(Value::object_of([
        ("storage", storage.into()),
        ("content", content.into()),
        ("file_name", name.into()),
        ("node", node.into()),
    ]))
}

/// The node to ask: the one that is named, else the first one that has the storage, if all share it.
fn node_for(value: &Value, storages: &Json) -> Result<String, Diagnostic> {
    let named = text(value, "node");
    let storage = text(value, "storage").unwrap_or_default();
    let here: Vec<&Json> = items(storages)
        .iter()
        .filter(|item| item["storage"] == storage.as_str() && item["status"] == "available")
        .collect();
    if let Some(node) = named {
        return Ok(node);
    }
    let mut nodes: Vec<String> = here
        .iter()
        .filter_map(|item| values::text(item, "node"))
        .collect();
    nodes.sort();
    let refused = |detail: String, attribute: &str| {
        Diagnostic::error("no-storage", "a storage can't be used")
            .detail(detail)
            .path(AttributePath::of(attribute))
    };
    let is_shared = here.iter().any(|item| values::flag(item, "shared"));
    match nodes.as_slice() {
        [] => Err(refused(
            format!("no node that is up has the storage `{storage}`, or it may not be seen"),
            "storage",
        )),
        [only] => Ok(only.clone()),
        [first, ..] if is_shared => Ok(first.clone()),
        several => Err(refused(
            format!(
                "each node has a `{storage}` of its own: name one of {} as `node`",
                several.join(", ")
            ),
            "node",
        )),
    }
}

fn content_path(value: &Value, node: &str) -> String {
    format!(
        "/nodes/{}/storage/{}/content?content={}",
        values::segment(node),
        values::segment(&text(value, "storage").unwrap_or_default()),
        values::segment(&text(value, "content").unwrap_or_default())
    )
}

#[async_trait]
impl Resource for Image {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        let is_known = KEY.iter().all(|name| known.attributes.get(name).is_known());
        let has_key =
            !known.attributes.get("storage").is_null() || known.purpose == Purpose::Import;
        match is_known && has_key {
            true => Ok(vec![
                Question::Path("/cluster/resources?type=storage".into()).fetch()?,
            ]),
            false => Ok(Vec::new()),
        }
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        if answers.is_empty() {
            return Ok(Reading::Absent);
        }
        let named = known
            .id
            .filter(|_| known.attributes.get("storage").is_null())
            .and_then(of_id);
        let value = match &named {
            Some(key) => KEY.iter().fold(known.attributes.clone(), |value, name| {
                value.with(name, key.get(name))
            }),
            None => known.attributes.clone(),
        };
        let node = node_for(&value, answers.json(0)?)?;
        let Some(answer) = answers.0.get(1).and_then(|answer| answer.json()) else {
            return Ok(Reading::More(vec![
                Question::Path(content_path(&value, &node)).fetch()?,
            ]));
        };
        let volume = volume(&value);
        let found = items(answer)
            .iter()
            .find(|item| item["volid"] == volume.as_str());
        Ok(match found {
            None => Reading::Absent,
            Some(item) => Reading::Found(Object {
                attributes: value
                    .with("volume", volume.as_str().into())
                    .with("size_bytes", values::number(item, "size").into()),
                id: Some(match text(&value, "node") {
                    Some(node) => format!("{volume}@{node}"),
                    None => volume,
                }),
            }),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        check(&change.planned)?;
        if change.planned.get("storage").is_known()
            && change.planned.get("content").is_known()
            && change.planned.get("file_name").is_known()
        {
            change.set("volume", volume(&change.planned).into());
        }
        if change.prior.is_none() && change.earlier.is_some() {
            return Err(
                Diagnostic::error("taken", "a file of this name is there already")
                    .detail(format!(
                        "what `{}` holds can't be told, and it is not replaced",
                        volume(&change.planned)
                    ))
                    .path(AttributePath::of("file_name"))
                    .help("import it, if it is the right one; else take another `file_name`"),
            );
        }
        Ok(())
    }

    fn import(&self, id: &str, attributes: &Value) -> Result<Value, Diagnostic> {
        let named = of_id(id).ok_or_else(|| {
            Diagnostic::error("import-id", "not the id of an image")
                .detail(format!("`{id}` is no volume"))
                .help("write `storage:content/file_name`, with `@node` for a storage that each node has by itself")
        })?;
        for name in KEY {
            let described = attributes.get(name);
            if !described.is_null() && described.is_known() && described != named.get(name) {
                return Err(Diagnostic::error(
                    "import-id",
                    "the `import` block names another object",
                )
                .detail(format!(
                    "its id is `{id}`, and `{name}` is another in the configuration"
                ))
                .help("make the two agree"));
            }
        }
        Ok(KEY.iter().fold(attributes.clone(), |value, name| {
            value.with(name, named.get(name))
        }))
    }

    fn work(&self, _job: &Job<'_>) -> Result<Work, Diagnostic> {
        Ok(Work::Calls)
    }

    async fn call(&self, cx: &dyn Cx, job: &Job<'_>) -> Result<(), Diagnostic> {
        let cluster: &Cluster = configured(cx.provider())?;
        let value = job.value()?;
        let storages = cluster.client.get("/cluster/resources?type=storage").await;
        let storages = storages.map_err(|error| error.diagnostic("cannot list storages"))?;
        let node = node_for(value, &storages)?;
        let work = ImageWork {
            cx,
            cluster,
            value,
            node,
        };
        match job.verb {
            Verb::Create => work.fetch().await,
            // Nothing of a file changes in place.
            Verb::Update => Ok(()),
            Verb::Delete | Verb::Leave => work.remove().await,
        }
    }
}

fn check(planned: &Value) -> Result<(), Diagnostic> {
    let wrong = |attribute: &str, why: &str| {
        Diagnostic::error("wrong-argument", "unusable argument")
            .detail(why)
            .path(AttributePath::of(attribute))
    };
    let content = text(planned, "content");
    let ends: &[&str] = match content.as_deref() {
        Some("import") => &[".qcow2", ".raw", ".vmdk", ".ova"],
        Some("iso") => &[".iso", ".img"],
        Some("vztmpl") => &[".tar.gz", ".tar.xz", ".tar.zst"],
        Some(_) => return Err(wrong("content", "it is `import`, `iso` or `vztmpl`")),
        None => &[],
    };
    if let Some(name) = text(planned, "file_name") {
        if name.contains('/') || name.starts_with('.') {
            return Err(wrong("file_name", "a name is no path"));
        }
        if !ends.is_empty()
            && !ends
                .iter()
                .any(|end| name.to_ascii_lowercase().ends_with(end))
        {
            return Err(wrong(
                "file_name",
                &format!("for this content a name ends in {}", ends.join(", ")),
            ));
        }
    }
    let (url, source) = (planned.get("url"), planned.get("source"));
    if !url.is_null() && !source.is_null() {
        return Err(wrong("source", "`url` and `source` exclude each other"));
    }
    if let Some(checksum) = text(planned, "checksum") {
        let Some((kind, digits)) = checksum.split_once(':') else {
            return Err(wrong("checksum", "write what it is: `sha256:…`"));
        };
        let length = match kind {
            "md5" => 32,
            "sha1" => 40,
            "sha224" => 56,
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => {
                return Err(wrong(
                    "checksum",
                    "it begins with `sha256:`, `sha512:`, `sha384:`, `sha224:`, `sha1:` or `md5:`",
                ));
            }
        };
        if digits.len() != length || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong(
                "checksum",
                &format!("`{kind}` has {length} hexadecimal digits"),
            ));
        }
        if !source.is_null() && kind != "sha256" {
            return Err(wrong(
                "checksum",
                "a file that is sent is compared by `sha256:`",
            ));
        }
    }
    Ok(())
}

struct ImageWork<'a> {
    cx: &'a dyn Cx,
    cluster: &'a Cluster,
    value: &'a Value,
    node: String,
}

impl ImageWork<'_> {
    async fn is_there(&self) -> Result<bool, Diagnostic> {
        let content = self
            .cluster
            .client
            .get(&content_path(self.value, &self.node))
            .await;
        let content = content.map_err(|error| error.diagnostic("cannot list a storage"))?;
        let volume = volume(self.value);
        Ok(items(&content)
            .iter()
            .any(|item| item["volid"] == volume.as_str()))
    }

    async fn fetch(&self) -> Result<(), Diagnostic> {
        if self.is_there().await? {
            return Ok(());
        }
        let cannot = "cannot make an image";
        let begun = match (text(self.value, "url"), text(self.value, "source")) {
            (Some(url), None) => self.download(&url).await,
            (None, Some(source)) => self.send(PathBuf::from(source)).await,
            _ => {
                return Err(Diagnostic::error("wrong-argument", "unusable argument")
                    .detail("where it comes from is not said: `url` or `source`")
                    .path(AttributePath::of("url")));
            }
        };
        match begun? {
            Ok(()) => Ok(()),
            // It may go on there: what has come of it is looked at.
            Err(error) if error.is_unknown() && self.is_there().await? => Ok(()),
            Err(error) => Err(error.diagnostic(cannot)),
        }
    }

    async fn download(&self, url: &str) -> Result<Result<(), ApiError>, Diagnostic> {
        let name = text(self.value, "file_name").unwrap_or_default();
        self.cx
            .begin(&format!(
                "fetch `{name}` to {} on {}",
                volume(self.value),
                self.node
            ))
            .await?;
        let mut form = parameters([
            ("url", url),
            ("filename", &name),
            ("content", &text(self.value, "content").unwrap_or_default()),
        ]);
        if let Some((kind, digits)) = text(self.value, "checksum")
            .as_deref()
            .and_then(|text| text.split_once(':'))
        {
            form.extend(parameters([
                ("checksum", digits),
                ("checksum-algorithm", kind),
            ]));
        }
        form.extend(text(self.value, "compression").map(|kind| ("compression".to_owned(), kind)));
        if flag(self.value, "verify_certificates") == Some(false) {
            form.extend(parameters([("verify-certificates", "0")]));
        }
        let storage = text(self.value, "storage").unwrap_or_default();
        let path = format!(
            "/nodes/{}/storage/{}/download-url",
            values::segment(&self.node),
            values::segment(&storage)
        );
        let begun = self.cluster.client.write(Method::Post, &path, &form).await;
        Ok(self.follow(begun, "the download").await)
    }

    async fn send(&self, source: PathBuf) -> Result<Result<(), ApiError>, Diagnostic> {
        let content = match text(self.value, "content").as_deref() {
            Some("iso") => "iso",
            Some("vztmpl") => "vztmpl",
            _ => "import",
        };
        let upload = Upload {
            content,
            name: text(self.value, "file_name").unwrap_or_default(),
            sha256: text(self.value, "checksum")
                .and_then(|text| Some(text.strip_prefix("sha256:")?.to_owned())),
            source: UploadSource::File(source),
        };
        self.cx
            .begin(&format!(
                "send `{}` to {} on {}",
                upload.name,
                volume(self.value),
                self.node
            ))
            .await?;
        let storage = text(self.value, "storage").unwrap_or_default();
        self.cx.waiting(&format!("`{}` is sent", upload.name), LONG);
        let begun = self
            .cluster
            .client
            .upload(&self.node, &storage, &upload)
            .await;
        Ok(self.follow(begun, "the upload").await)
    }

    async fn follow(&self, begun: Result<Json, ApiError>, what: &str) -> Result<(), ApiError> {
        match Upid::of(&begun?) {
            Some(upid) => {
                let watch = Watch {
                    cx: self.cx,
                    what,
                    within: LONG,
                };
                self.cluster.client.follow(&upid, watch).await.map(drop)
            }
            None => Ok(()),
        }
    }

    async fn remove(&self) -> Result<(), Diagnostic> {
        if !self.is_there().await? {
            return Ok(());
        }
        let volume = volume(self.value);
        self.cx.begin(&format!("remove {volume}")).await?;
        let storage = text(self.value, "storage").unwrap_or_default();
        let path = format!(
            "/nodes/{}/storage/{}/content/{}",
            values::segment(&self.node),
            values::segment(&storage),
            values::segment(&volume)
        );
        let begun = self.cluster.client.write(Method::Delete, &path, &[]).await;
        match self.follow(begun, "the removal").await {
            Ok(()) => Ok(()),
            Err(_) if !self.is_there().await? => Ok(()),
            Err(error) => Err(error.diagnostic("cannot remove an image")),
        }
    }
}

const LONG: Duration = Duration::from_secs(6 * 3600);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn image(node: Option<&str>) -> Value {
        Value::object_of([
            ("storage", "shr".into()),
            ("content", "import".into()),
            ("file_name", "debian.qcow2".into()),
            ("node", node.map(str::to_owned).into()),
        ])
    }

    #[test]
    fn a_storage_of_each_node_by_itself_needs_a_node() {
        let storages = |shared: u8| {
            json!([
                { "storage": "shr", "node": "b", "status": "available", "shared": shared },
                { "storage": "shr", "node": "a", "status": "available", "shared": shared },
            ])
        };
        assert_eq!(node_for(&image(None), &storages(1)).expect("a node"), "a");
        assert_eq!(
            node_for(&image(Some("b")), &storages(0)).expect("a node"),
            "b"
        );
        let error = node_for(&image(None), &storages(0)).expect_err("which?");
        assert!(error.detail.contains("a, b"), "{}", error.detail);
        assert!(node_for(&image(None), &json!([])).is_err());
    }

    #[test]
    fn an_id_is_a_volume_with_its_node() {
        assert_eq!(of_id("shr:import/debian.qcow2@a"), Some(image(Some("a"))));
        assert_eq!(of_id("shr:import/debian.qcow2"), Some(image(None)));
        assert_eq!(of_id("debian.qcow2"), None);
    }

    #[test]
    fn what_can_never_be_is_refused() {
        let wrong = |name: &str, value: &str| check(&image(None).with(name, value.into())).is_err();
        assert!(wrong("file_name", "debian.iso"));
        assert!(wrong("file_name", "../debian.qcow2"));
        assert!(wrong("checksum", "abc"));
        assert!(wrong("checksum", "sha256:abc"));
        assert!(wrong("content", "backup"));
        assert!(!wrong("url", "https://example/debian.qcow2"));
    }
}
