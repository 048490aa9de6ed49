//! A stack opened: its configuration checked, its variables collected, its state.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmp_graph::ConfigGraph;
use dmp_lang::config::{Endpoint, Import};
use dmp_lang::{Configuration, Sources, check, load_stack};
use dmp_plan::{Registry, Surroundings, World};
use dmp_sdk::{Diagnostic, Value};
use dmp_state::{Holder, Local, Lock, LockError, Outside, SecretString, Store};
use time::OffsetDateTime;

use crate::arguments::Variables;
use crate::{Context, encryption, requirement, unsupported, variables};

/// A stack's description.
pub(crate) struct Stack {
    pub directory: PathBuf,
    pub configuration: Arc<Configuration>,
    pub graph: Arc<ConfigGraph>,
    pub sources: Sources,
    pub inputs: BTreeMap<Arc<str>, Value>,
    pub warnings: Vec<Diagnostic>,
    /// When the run began, or the saved plan was made that it carries out.
    pub opened: OffsetDateTime,
    registry: Arc<Registry>,
}

/// A description that can't be used: what is wrong, with its sources.
pub(crate) struct Broken {
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Sources,
}

impl Stack {
    /// Loads and checks a stack.
    pub(crate) fn open(
        context: &Context,
        directory: &Path,
        given: Option<&Variables>,
    ) -> Result<Self, Box<Broken>> {
        let (configuration, mut sources, mut diagnostics) = load_stack(directory);
        if !diagnostics.iter().any(Diagnostic::is_error) {
            diagnostics.extend(check(&configuration, context.registry.as_ref()));
            diagnostics.extend(check_version(&configuration));
            diagnostics.extend(unsupported::check(&configuration));
            diagnostics.extend(encryption::check(&configuration));
        }
        let provider_of = |mode, name: &str| context.registry.provider_of(mode, name);
        let graph = match ConfigGraph::build(&configuration, &provider_of) {
            Ok(graph) => Some(graph),
            Err(cycles) => {
                diagnostics.extend(cycles);
                None
            }
        };
        let mut inputs = BTreeMap::new();
        if let (Some(given), false) = (given, diagnostics.iter().any(Diagnostic::is_error)) {
            match variables::collect(configuration.root(), directory, given, &mut sources) {
                Ok(values) => inputs = values,
                Err(found) => diagnostics.extend(found),
            }
        }
        let (Some(graph), false) = (graph, diagnostics.iter().any(Diagnostic::is_error)) else {
            return Err(Box::new(Broken {
                diagnostics,
                sources,
            }));
        };
        Ok(Self {
            directory: directory.to_owned(),
            configuration: Arc::new(configuration),
            graph: Arc::new(graph),
            sources,
            inputs,
            warnings: diagnostics,
            opened: OffsetDateTime::now_utc(),
            registry: Arc::clone(&context.registry),
        })
    }

    /// Adds what an `import` block would say.
    pub(crate) fn import(&mut self, address: &str, id: &str) -> Result<(), Diagnostic> {
        let endpoint = crate::part::endpoint("import", address)?;
        if !matches!(endpoint, Endpoint::Resource(_)) {
            return Err(Diagnostic::error(
                "not-an-address",
                "this is not the address of an instance",
            )
            .detail(format!("`{address}` is a module")));
        }
        // What is said of the id is shown at this text.
        let name = "(command line)";
        let quoted = serde_json::Value::from(id).to_string();
        let text = quoted.replace("${", "$${").replace("%{", "%%{");
        let id = dmp_lang::parse_expression(&text, name).map_err(|_| {
            Diagnostic::error("import-id", "this is not an id").detail(format!("`{id}`"))
        })?;
        let to = dmp_lang::parse_expression(address, name).map_err(|_| {
            Diagnostic::error("not-an-address", "this is not an address")
                .detail(format!("`{address}`"))
        })?;
        self.sources.add(name, text);
        let configuration = Arc::make_mut(&mut self.configuration);
        let root = configuration.root;
        configuration.modules[root.0].imports.push(Import {
            to,
            repetition: None,
            span: id.span.clone(),
            id,
            provider: None,
        });
        Ok(())
    }

    /// A world in which only the input variables are known.
    pub(crate) fn world(&self) -> World {
        let folder = self
            .directory
            .canonicalize()
            .unwrap_or_else(|_| self.directory.clone());
        let name = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let surroundings = Surroundings {
            directory: self.directory.clone(),
            cwd: std::env::current_dir().unwrap_or_default(),
            name,
            planned_at: Some(self.opened),
        };
        World::new(
            Arc::clone(&self.configuration),
            Arc::clone(&self.graph),
            Arc::clone(&self.registry),
            surroundings,
            self.inputs.clone(),
        )
    }
}

fn check_version(configuration: &Configuration) -> Option<Diagnostic> {
    let required = configuration
        .root()
        .stack
        .as_ref()?
        .required_version
        .as_ref()?;
    let wrong = |detail: String| {
        Diagnostic::error("wrong-version", "this dmp does not fit the stack")
            .detail(detail)
            .at(required.span.clone())
    };
    match requirement::is_met(&required.text, VERSION) {
        Some(true) => None,
        Some(false) => Some(wrong(format!(
            "the stack requires dmp `{}`, this is {VERSION}",
            required.text
        ))),
        None => Some(
            wrong(format!("`{}` is no version constraint", required.text))
                .help("write it like `>= 0.1, < 2.0`"),
        ),
    }
}

/// The folder in which a stack keeps its state and its runs.
pub(crate) fn state_folder(directory: &Path) -> PathBuf {
    directory.join(".dmp")
}

/// Opens the state for reading: an empty one where there is none yet.
pub(crate) fn open_state(directory: &Path) -> Result<Store, Diagnostic> {
    let path = state_folder(directory).join("state.sqlite");
    let backend = if path.exists() {
        Local::open_for_reading(&path)
    } else {
        Local::in_memory()
    };
    let backend = backend.map_err(|error| cannot_open(&error.to_string()))?;
    Store::open(Box::new(backend), outside()).map_err(|error| cannot_open(&error.to_string()))
}

/// Opens the state for writing; makes its folder.
pub(crate) fn open_state_for_writing(
    directory: &Path,
    command: &str,
) -> Result<(Store, Lock), Diagnostic> {
    let folder = state_folder(directory);
    let cannot = |error: std::io::Error| cannot_open(&format!("`{}`: {error}", folder.display()));
    // Nobody else on the machine needs to look into it, sealed or not.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder.join("runs"))
        .map_err(cannot)?;
    let holder = Holder {
        pid: std::process::id(),
        command: command.to_owned(),
        since: now(),
        user: std::env::var("USER").unwrap_or_else(|_| "?".into()),
    };
    let lock = Lock::take(&folder.join("lock"), &holder).map_err(|error| no_lock(&error))?;
    let backend = Local::open(&folder.join("state.sqlite"))
        .map_err(|error| cannot_open(&error.to_string()))?;
    let store = Store::open(Box::new(backend), outside())
        .map_err(|error| cannot_open(&error.to_string()))?;
    Ok((store, lock))
}

/// Looks who holds the state, without taking it.
pub(crate) fn look_at_lock(directory: &Path) -> Result<Option<Holder>, Diagnostic> {
    let path = state_folder(directory).join("lock");
    Lock::look(&path).map_err(|error| no_lock(&error))
}

fn no_lock(error: &LockError) -> Diagnostic {
    match error {
        LockError::Held(_) => Diagnostic::error("held", "the state is in use")
            .detail(error.to_string())
            .help("wait until it has ended; two runs at once are never allowed"),
        LockError::File { .. } => cannot_open(&error.to_string()),
    }
}

/// Why a stack's state can't be used as it is.
pub(crate) fn check_state(stack: &Stack, store: &Store) -> Option<Diagnostic> {
    check_age(store).or_else(|| encryption::check_sealing(stack, store))
}

/// A folder that holds less than it was seen to hold before is an older copy.
pub(crate) fn check_age(store: &Store) -> Option<Diagnostic> {
    let seen = store.older_than_seen?;
    Some(
        Diagnostic::error("older-state", "the state is an older copy")
            .detail(format!("it ends with commit {}, on this machine commit {seen} was seen", store.snapshot().serial))
            .help("bring back the newer copy of `.dmp/state.sqlite`; what was made since then is not known to this one")
            .help("if the newer one is lost for good: `dmp state reconcile`"),
    )
}

fn cannot_open(why: &str) -> Diagnostic {
    Diagnostic::error("state", "cannot open the state").cause(why)
}

/// What opens states on this machine.
pub(crate) fn outside() -> Outside {
    let home = std::env::home_dir().unwrap_or_default();
    let folder = |variable: &str, default: &str| {
        let given = std::env::var_os(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from);
        given.unwrap_or_else(|| home.join(default)).join("dmp")
    };
    let identity = std::env::var_os("DMP_IDENTITY").map(PathBuf::from);
    let passphrase = std::env::var("DMP_PASSPHRASE").ok();
    Outside {
        identity_file: identity
            .unwrap_or_else(|| folder("XDG_CONFIG_HOME", ".config").join("identity.txt")),
        passphrase: passphrase
            .filter(|passphrase| !passphrase.is_empty())
            .map(SecretString::from),
        seen_folder: folder("XDG_STATE_HOME", ".local/state").join("seen"),
    }
}

/// The time, in RFC 3339, UTC.
pub(crate) fn now() -> String {
    let now = time::OffsetDateTime::now_utc();
    now.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

/// dmp's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
