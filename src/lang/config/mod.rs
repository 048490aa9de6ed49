//! The typed configuration: what the blocks of a stack and its modules mean, before anything is evaluated.

mod build;
mod fields;
mod resource;

use std::collections::BTreeMap;
use std::sync::Arc;

use dmp_sdk::{Address, AttributePath, Key, Layer, ModulePath, Span, Type, Value};
use foldhash::fast::RandomState;
use indexmap::IndexMap;

use crate::ast::{Block, Body, Expr, ExprKind, Name};
use crate::reference::{Reference, ResourceKey, Target};

pub(crate) use build::add_file;

/// A stack and every module it calls.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The stack itself.
    pub root: ModuleId,
    /// The stack and its modules, each folder once.
    pub modules: Vec<Module>,
    /// SHA-256 over the names and texts of all files, in hexadecimal.
    pub digest: String,
}

impl Configuration {
    /// A module by its id.
    #[must_use]
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0]
    }

    /// The stack itself.
    #[must_use]
    pub fn root(&self) -> &Module {
        self.module(self.root)
    }
}

/// A module of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub usize);

/// A folder of `*.hcl` files.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// The folder, as it was reached from the stack's.
    pub directory: Arc<str>,
    /// The `stack` block.
    pub stack: Option<StackBlock>,
    /// Input variables.
    pub variables: IndexMap<Arc<str>, Variable>,
    /// Local values.
    pub locals: IndexMap<Arc<str>, Local>,
    /// Provider configurations.
    pub providers: IndexMap<ProviderKey, ProviderBlock>,
    /// `resource` and `data` blocks.
    pub resources: IndexMap<ResourceKey, ResourceBlock, RandomState>,
    /// Modules that are called.
    pub calls: IndexMap<Arc<str>, ModuleCall>,
    /// Output values.
    pub outputs: IndexMap<Arc<str>, Output>,
    /// Checks.
    pub checks: IndexMap<Arc<str>, Check>,
    /// `environment` blocks, held as they are.
    pub environments: IndexMap<Arc<str>, Block>,
    /// Objects that changed their address.
    pub moved: Vec<Moved>,
    /// Objects that are no longer described.
    pub removed: Vec<Removed>,
    /// Objects to adopt.
    pub imports: Vec<Import>,
}

/// The `stack` block.
#[derive(Clone, Debug)]
pub struct StackBlock {
    /// Which versions of dmp may be used.
    pub required_version: Option<Name>,
    /// Who can open the state.
    pub encryption: Option<EncryptionBlock>,
    /// How much of a provider or of a resource type may be under way at once, by its name.
    pub limits: BTreeMap<Arc<str>, Limit>,
    /// All else in it (backend), held as it is.
    pub body: Body,
    /// The block's header.
    pub span: Span,
}

/// How much may be under way at once.
#[derive(Clone, Debug)]
pub struct Limit {
    /// At least one.
    pub number: usize,
    /// Where it is written.
    pub span: Span,
}

/// The `encryption` block of a `stack`: who can open the state. It is needed before anything is evaluated, so all in it is
/// written literally.
#[derive(Clone, Debug)]
pub struct EncryptionBlock {
    /// Who opens it every day; `None` leaves that as it is recorded.
    pub recipients: Option<Vec<Name>>,
    /// Whose identities are kept elsewhere.
    pub offline_recipients: Vec<Name>,
    /// Whether a passphrase opens it too. The passphrase itself is never written here.
    pub passphrase: bool,
    /// Whether attributes are sealed as a whole, and a state in which they are not is refused.
    pub enforced: bool,
    /// The block's header.
    pub span: Span,
}

/// An input variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: Name,
    /// What it accepts, with the defaults of optional members.
    pub ty: Type,
    /// Its value when none is given, already of its type. Without one a value is required.
    pub default: Option<Value>,
    /// What it is for.
    pub description: Option<Arc<str>>,
    /// Never shown.
    pub sensitive: bool,
    /// In no state and no plan file.
    pub ephemeral: bool,
    /// Whether null may be given; else null stands for the default.
    pub nullable: bool,
    /// What a value must satisfy.
    pub validations: Vec<Condition>,
    /// The block's header.
    pub span: Span,
}

impl Variable {
    /// Whether a value has to be given.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.default.is_none()
    }
}

/// A condition and what is said when it does not hold.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What must be true.
    pub condition: Expr,
    /// What is said otherwise.
    pub error_message: Expr,
    /// The block's header.
    pub span: Span,
}

/// A local value.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub expr: Expr,
}

/// A provider configuration within its module.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderKey {
    /// The provider.
    pub name: Arc<str>,
    /// The alias; `None` is the default configuration.
    pub alias: Option<Arc<str>>,
}

impl std::fmt::Display for ProviderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        match &self.alias {
            Some(alias) => write!(f, ".{alias}"),
            None => Ok(()),
        }
    }
}

/// A provider configuration where it is named.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderName {
    /// Which one.
    pub key: ProviderKey,
    /// Which instance of it, if it has `for_each`.
    pub instance: Option<Expr>,
    /// Where it is named.
    pub span: Span,
}

/// A `provider` block.
#[derive(Clone, Debug)]
pub struct ProviderBlock {
    /// Which configuration it is.
    pub key: ProviderKey,
    /// Where the provider's name stands.
    pub name_span: Span,
    /// `for_each`: one configuration for each member, each with a key.
    pub repetition: Option<Repetition>,
    /// The configuration, without `alias` and `for_each`.
    pub body: Body,
    /// The block's header.
    pub span: Span,
}

/// How many instances a block has.
#[derive(Clone, Debug)]
pub enum Repetition {
    /// `count`: that many, by position.
    Count(Expr),
    /// `for_each`: one for each member, by name.
    ForEach(Expr),
    /// `enabled` in `lifecycle`: one without a key, or none.
    Enabled(Expr),
}

impl Repetition {
    /// Whether each instance has a key.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !matches!(self, Self::Enabled(_))
    }

    /// The expression of either.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        match self {
            Self::Count(expr) | Self::ForEach(expr) | Self::Enabled(expr) => expr,
        }
    }
}

/// A `resource` or `data` block.
#[derive(Clone, Debug)]
pub struct ResourceBlock {
    /// Mode, type and name.
    pub key: ResourceKey,
    /// Where the type stands.
    pub type_span: Span,
    /// Where the name stands.
    pub name_span: Span,
    /// How many instances; `None` is one without a key.
    pub repetition: Option<Repetition>,
    /// What it waits for beside what it refers to.
    pub depends_on: Vec<Reference>,
    /// The provider configuration, where it is not the type's default one.
    pub provider: Option<ProviderName>,
    /// The layer, where it is not the type's own.
    pub layer: Option<Layer>,
    /// How changes are made.
    pub lifecycle: Arc<Lifecycle>,
    /// How long each kind of work may take: texts such as `10m`.
    pub timeouts: BTreeMap<Timed, Expr>,
    /// The arguments of the type itself: no meta-argument is left in it.
    pub body: Body,
    /// The block's header.
    pub span: Span,
}

/// Work that `timeouts` bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timed {
    /// Making an object, or finishing one.
    Create,
    /// Reading it, or a data source.
    Read,
    /// Changing it in place.
    Update,
    /// Removing it.
    Delete,
}

impl Timed {
    /// The name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The `lifecycle` block.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// The new object is made before the old one goes.
    pub create_before_destroy: Option<bool>,
    /// Whether a plan that would delete the object is refused.
    pub prevent_destroy: Option<Expr>,
    /// Whose changes are not acted on.
    pub ignore_changes: IgnoreChanges,
    /// A change of any of these replaces the object; each is a reference, perhaps with `each.key` in an index.
    pub replace_triggered_by: Vec<Expr>,
    /// What must hold before the object is planned or read.
    pub preconditions: Vec<Condition>,
    /// What must hold after it; `self` is the object.
    pub postconditions: Vec<Condition>,
    /// A list of what the object lives on, instead of what follows from origins: the origins of its value.
    pub hosted_on: Option<Expr>,
    /// How members of a group are changed one after another.
    pub rollout: Option<Rollout>,
}

/// How members of a group are changed: a few at a time, the next when these are healthy.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The group's name, in the whole stack; without it the block is the group.
    pub group: Option<Expr>,
    /// How many may be out at once; 1 if it is not said.
    pub max_out: Option<Expr>,
    /// When a member is healthy; without it, when its change is done.
    pub health: Option<Health>,
    /// The block's header.
    pub span: Span,
}

/// When a member of a group is healthy, looked at from outside.
#[derive(Clone, Debug)]
pub struct Health {
    /// How long it may take, in seconds; 300 if it is not said.
    pub within_seconds: Option<Expr>,
    /// A data source which only this block may refer to.
    pub data: Option<Box<ResourceBlock>>,
    /// What must hold; `self` is the member.
    pub asserts: Vec<Condition>,
    /// The block's header.
    pub span: Span,
}

/// Whose changes are not acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IgnoreChanges {
    /// `all`.
    All,
    /// These; mostly none.
    Paths(Vec<(AttributePath, Span)>),
}

impl Default for IgnoreChanges {
    fn default() -> Self {
        Self::Paths(Vec::new())
    }
}

/// A `module` block.
#[derive(Clone, Debug)]
pub struct ModuleCall {
    /// Its name.
    pub name: Name,
    /// The folder, as it is written.
    pub source: Name,
    /// What is in the folder; `None` if it could not be loaded, which is an error elsewhere.
    pub module: Option<ModuleId>,
    /// How many instances.
    pub repetition: Option<Repetition>,
    /// What everything in it waits for.
    pub depends_on: Vec<Reference>,
    /// Provider configurations that are handed in: what the module calls it, and what it is called here.
    pub providers: Vec<(ProviderName, ProviderName)>,
    /// The module's input variables.
    pub inputs: IndexMap<Arc<str>, crate::ast::Attribute>,
    /// The block's header.
    pub span: Span,
}

/// An output value.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub value: Expr,
    /// What it is for.
    pub description: Option<Arc<str>>,
    /// Never shown.
    pub sensitive: bool,
    /// In no state and no plan file.
    pub ephemeral: bool,
    /// What it waits for beside what it refers to.
    pub depends_on: Vec<Reference>,
    /// What must hold before it is made.
    pub preconditions: Vec<Condition>,
    /// The block's header.
    pub span: Span,
}

/// A `check` block.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: Name,
    /// A data source which only this check may refer to.
    pub data: Option<ResourceBlock>,
    /// What must hold.
    pub asserts: Vec<Condition>,
    /// The block's header.
    pub span: Span,
}

/// One end of a move: a module, a block, or one instance of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Everything in a module.
    Module(ModulePath),
    /// A resource; without a key it stands for all instances.
    Resource(Address),
}

impl std::str::FromStr for Endpoint {
    type Err = dmp_sdk::address::AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::Resource).or_else(|error| {
            // What is only a module's path becomes an address by any resource inside it.
            let inside = format!("{text}.any.any").parse::<Address>();
            match inside {
                Ok(address) if !address.module.is_root() => Ok(Self::Module(address.module)),
                _ => Err(error),
            }
        })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Module(path) => path.fmt(f),
            Self::Resource(address) => address.fmt(f),
        }
    }
}

/// A `moved` block.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The address before, relative to the module that the block stands in.
    pub from: Endpoint,
    /// The address now, relative to the same module.
    pub to: Endpoint,
    /// The block's header.
    pub span: Span,
}

/// A `removed` block.
#[derive(Clone, Debug)]
pub struct Removed {
    /// What is no longer described, relative to the module that the block stands in.
    pub from: Endpoint,
    /// Whether the objects are deleted; else they are only forgotten.
    pub destroy: bool,
    /// The block's header.
    pub span: Span,
}

/// An `import` block.
#[derive(Clone, Debug)]
pub struct Import {
    /// The address of the instance that adopts the object; its keys may be any expressions.
    pub to: Expr,
    /// `for_each`: an object for each member.
    pub repetition: Option<Repetition>,
    /// The object's id.
    pub id: Expr,
    /// The provider configuration that the instance's block names, said once more.
    pub provider: Option<ProviderName>,
    /// The block's header.
    pub span: Span,
}

impl Import {
    /// The address of the instance, with keys as they turn out to be.
    ///
    /// # Errors
    /// What `key` says of an expression; nothing if this is no address of a resource.
    pub fn address<E>(
        &self,
        mut key: impl FnMut(&Expr) -> Result<Key, E>,
    ) -> Result<Option<Address>, E> {
        let mut text = String::new();
        if !address_text(&self.to, &mut key, &mut text)? {
            return Ok(None);
        }
        Ok(match text.parse() {
            Ok(Endpoint::Resource(address)) => Some(address),
            _ => None,
        })
    }

    /// The expressions of its keys.
    #[must_use]
    pub fn keys(&self) -> Vec<&Expr> {
        let mut found = Vec::new();
        let mut look = &self.to;
        loop {
            look = match &look.kind {
                ExprKind::Index(of, key) => {
                    found.push(key.as_ref());
                    of
                }
                ExprKind::Attribute(of, _) => of,
                _ => return found,
            };
        }
    }
}

/// Writes an address as it reads with its keys. Returns whether it has the form of one.
fn address_text<E>(
    expr: &Expr,
    key: &mut dyn FnMut(&Expr) -> Result<Key, E>,
    text: &mut String,
) -> Result<bool, E> {
    match &expr.kind {
        ExprKind::Reference(reference) => {
            text.push_str(&reference.target.to_string());
            Ok(matches!(
                reference.target,
                Target::Resource(_) | Target::Module(_)
            ))
        }
        ExprKind::Attribute(of, name) => {
            let is_one = address_text(of, key, text)?;
            text.push('.');
            text.push_str(&name.text);
            Ok(is_one)
        }
        ExprKind::Index(of, at) => {
            let is_one = address_text(of, key, text)?;
            text.push_str(&key(at)?.to_string());
            Ok(is_one)
        }
        _ => Ok(false),
    }
}
