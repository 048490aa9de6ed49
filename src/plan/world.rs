//! What is known of a stack while it is planned and applied: how often each block is there, and the value of each
//! instance. Evaluates on demand and remembers what can no longer change.
//!
//! The same world serves the plan and the apply: values only ever go from unknown to known. Nothing is read here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dmp_graph::{ConfigGraph, ConfigPath};
use dmp_lang::config::{Configuration, Module, Repetition, ResourceBlock, Timed};
use dmp_lang::reference::{Reference, ResourceKey, Target};
use dmp_lang::{Chance, Decoded, DiskFiles, Expr, decode, evaluate, timeout};
use dmp_sdk::{
    Address, Diagnostic, Key, Kind, Machine, Marks, Members, Mode, ModulePath, Presence, Schema,
    SortedMap, Span, Strictness, Type, Value, convert,
};

use foldhash::HashMap;
use time::OffsetDateTime;

use crate::registry::Registry;

mod expand;
mod providers;
mod scope;

pub use expand::{Expansion, Instances};
pub use providers::ProviderAt;
pub use scope::Place;

/// A block in a module instance.
pub type BlockAddress = (ModulePath, ResourceKey);

/// The knowledge of one run.
pub struct World {
    /// The configuration.
    pub configuration: Arc<Configuration>,
    /// The order of its blocks.
    pub graph: Arc<ConfigGraph>,
    /// What there is to make of them.
    pub registry: Arc<Registry>,
    /// Where the stack stands.
    pub surroundings: Surroundings,
    inputs: BTreeMap<Arc<str>, Value>,
    calls: HashMap<(ModulePath, Arc<str>), Expansion>,
    blocks: HashMap<BlockAddress, Block>,
    memo: RefCell<Memo>,
    repetitions: RefCell<HashMap<usize, Repeated>>,
    files: DiskFiles,
    chance: Option<Chance>,
}

/// Where a stack stands, for `path` and `stack`.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The stack's folder.
    pub directory: PathBuf,
    /// The folder that dmp was started in.
    pub cwd: PathBuf,
    /// The stack's name: that of its folder.
    pub name: String,
    /// When the run began that plans.
    pub planned_at: Option<OffsetDateTime>,
}

/// A repetition that was evaluated again: when, where it stands, and what it gave.
type Repeated = (u64, ((ModulePath, Span), Expansion));

/// A block's instances and their values.
struct Block {
    expansion: Expansion,
    values: Arc<SortedMap<Option<Key>, Value>>,
    whole: RefCell<Option<Value>>,
}

/// Values of locals, variables and outputs, as far as they are made.
#[derive(Default)]
struct Memo {
    /// Grows when an instance's value changes.
    generation: u64,
    values: HashMap<(ModulePath, Target), (u64, bool, Value)>,
    failed: BTreeSet<(ModulePath, Target)>,
}

impl World {
    /// A world in which only the stack's input variables are known.
    #[must_use]
    pub fn new(
        configuration: Arc<Configuration>,
        graph: Arc<ConfigGraph>,
        registry: Arc<Registry>,
        surroundings: Surroundings,
        inputs: BTreeMap<Arc<str>, Value>,
    ) -> Self {
        Self {
            files: DiskFiles::relative_to(&surroundings.directory),
            configuration,
            graph,
            registry,
            surroundings,
            inputs,
            calls: HashMap::default(),
            blocks: HashMap::default(),
            memo: RefCell::default(),
            repetitions: RefCell::default(),
            chance: None,
        }
    }

    /// Applying begins: from now on functions that depend on it have results.
    pub fn begin(&mut self, chance: Chance) {
        self.chance = Some(chance);
        self.memo.borrow_mut().generation += 1;
    }

    /// The module that a path of instances leads to.
    #[must_use]
    pub fn module(&self, path: &ModulePath) -> Option<&Module> {
        if path.is_root() {
            return Some(self.configuration.module(self.configuration.root));
        }
        self.graph.module(&self.configuration, &config_path(path))
    }

    /// A `resource` or `data` block, also one inside a check.
    #[must_use]
    pub fn block(&self, path: &ModulePath, key: &ResourceKey) -> Option<&ResourceBlock> {
        let module = self.module(path)?;
        let in_checks = || {
            module
                .checks
                .values()
                .filter_map(|check| check.data.as_ref())
                .find(|data| data.key == *key)
        };
        module.resources.get(key).or_else(in_checks)
    }

    /// The block of an instance.
    #[must_use]
    pub fn block_of(&self, address: &Address) -> Option<&ResourceBlock> {
        self.block(&address.module, &block_key(address))
    }

    /// The schema of an instance.
    #[must_use]
    pub fn schema_of(&self, address: &Address) -> Option<&Schema> {
        self.registry.schema(address.mode, &address.resource_type)
    }

    /// Whether an instance is a machine: what has a connection of its own says so by its schema.
    #[must_use]
    pub fn is_machine(&self, address: &Address) -> bool {
        let attributes = self.schema_of(address).map(|schema| &schema.attributes);
        let mut attributes = attributes.into_iter().flat_map(BTreeMap::values);
        address.mode == Mode::Managed
            && attributes.any(|attribute| {
                attribute.presence == Presence::Computed && attribute.ty == Machine::value_type()
            })
    }

    /// Says which instances a block has; its values are unknown until they are set.
    pub fn set_expansion(&mut self, block: BlockAddress, expansion: Expansion) {
        let fresh = Block {
            expansion,
            values: Arc::default(),
            whole: RefCell::default(),
        };
        self.blocks.insert(block, fresh);
        self.memo.borrow_mut().generation += 1;
    }

    /// Which instances a block has.
    #[must_use]
    pub fn expansion(&self, block: &BlockAddress) -> Option<&Expansion> {
        self.blocks.get(block).map(|block| &block.expansion)
    }

    /// Says how often a module is called.
    pub fn set_call(&mut self, module: ModulePath, call: Arc<str>, expansion: Expansion) {
        self.calls.insert((module, call), expansion);
        self.memo.borrow_mut().generation += 1;
    }

    /// How often a module is called.
    #[must_use]
    pub fn call(&self, module: &ModulePath, call: &Arc<str>) -> Option<&Expansion> {
        self.calls.get(&(module.clone(), Arc::clone(call)))
    }

    /// Sets the value of an instance: planned, or as it was read. Its own marks of origin are put on it here.
    pub fn set_instance(&mut self, address: &Address, value: &Value) {
        let Some(block) = self
            .blocks
            .get_mut(&(address.module.clone(), block_key(address)))
        else {
            return;
        };
        let marked = value
            .clone()
            .marked(&Marks::origin(Arc::new(address.clone())));
        let values = Arc::make_mut(&mut block.values);
        let unchanged = values
            .get(&address.key)
            .is_some_and(|old| *old == marked && old.is_wholly_known());
        if !unchanged {
            values.insert(address.key.clone(), marked);
            *block.whole.get_mut() = None;
            self.memo.get_mut().generation += 1;
        }
    }

    /// The value of an instance, with its origin.
    #[must_use]
    pub fn instance(&self, address: &Address) -> Option<&Value> {
        self.blocks
            .get(&(address.module.clone(), block_key(address)))?
            .values
            .get(&address.key)
    }

    /// All module instances that a path of calls leads to, as far as they are known.
    #[must_use]
    pub fn module_instances(&self, path: &ConfigPath) -> Vec<ModulePath> {
        let mut found = vec![ModulePath::root()];
        for call in &path.0 {
            let inside = |module: ModulePath| {
                let keys = self
                    .call(&module, call)
                    .map(Expansion::keys)
                    .unwrap_or_default();
                keys.into_iter().map(move |key| module.child(call, key))
            };
            found = found.into_iter().flat_map(inside).collect();
        }
        found
    }

    /// Evaluates an expression at a place.
    ///
    /// # Errors
    /// What is wrong in it, or in what it refers to and was not reported yet.
    pub fn evaluate(&self, expr: &Expr, place: &Place) -> Result<Value, Vec<Diagnostic>> {
        evaluate(expr, &scope::At { world: self, place })
    }

    /// Evaluates an instance's arguments.
    #[must_use]
    pub fn decode(&self, address: &Address) -> Option<Decoded> {
        let block = self.block_of(address)?;
        let schema = self.schema_of(address)?;
        let place = self.place_of(address);
        let mut decoded = decode(
            &block.body,
            schema,
            &scope::At {
                world: self,
                place: &place,
            },
        );
        // What decided that the instance is there is part of where its values come from.
        let expansion = self.expansion(&(address.module.clone(), block_key(address)));
        if let Some(marks) = expansion
            .map(Expansion::marks)
            .filter(|marks| !marks.is_empty())
        {
            decoded.value = decoded.value.marked(marks);
        }
        for diagnostic in &mut decoded.diagnostics {
            diagnostic.address = Some(address.clone());
        }
        Some(decoded)
    }

    /// How long one kind of work on an instance may take, if its block says so and it is known.
    ///
    /// # Errors
    /// What is wrong in the block's `timeouts`.
    pub fn timeout(
        &self,
        address: &Address,
        timed: Timed,
    ) -> Result<Option<Duration>, Vec<Diagnostic>> {
        let block = self.block_of(address);
        let Some(expr) = block.and_then(|block| block.timeouts.get(&timed)) else {
            return Ok(None);
        };
        let place = self.place_of(address);
        let scope = scope::At {
            world: self,
            place: &place,
        };
        timeout(timed, expr, &scope).map_err(|failed| {
            let at = |diagnostic: Diagnostic| diagnostic.address(address);
            failed.into_iter().map(at).collect()
        })
    }

    /// How long a data source that is only seen at a place may be read.
    ///
    /// # Errors
    /// What is wrong in the block's `timeouts`.
    pub fn timeout_at(
        &self,
        data: &ResourceBlock,
        place: &Place,
    ) -> Result<Option<Duration>, Vec<Diagnostic>> {
        match data.timeouts.get(&Timed::Read) {
            Some(expr) => timeout(Timed::Read, expr, &scope::At { world: self, place }),
            None => Ok(None),
        }
    }

    /// What is wrong in the `timeouts` of an instance.
    #[must_use]
    pub fn wrong_timeouts(&self, address: &Address) -> Vec<Diagnostic> {
        let block = self.block_of(address);
        let timed = block.map(|block| block.timeouts.keys().copied().collect::<Vec<_>>());
        let wrong = timed.unwrap_or_default().into_iter();
        let wrong = wrong.filter_map(|timed| self.timeout(address, timed).err());
        wrong.flatten().collect()
    }

    /// Evaluates the arguments of a data source that is only seen at a place.
    #[must_use]
    pub fn decode_at(&self, data: &ResourceBlock, place: &Place) -> Option<Decoded> {
        let schema = self
            .registry
            .schema(data.key.mode, &data.key.resource_type)?;
        Some(decode(
            &data.body,
            schema,
            &scope::At { world: self, place },
        ))
    }

    /// Where an instance's expressions stand.
    #[must_use]
    pub fn place_of(&self, address: &Address) -> Place {
        let key = block_key(address);
        let expansion = self.expansion(&(address.module.clone(), key.clone()));
        let repetition = self
            .block(&address.module, &key)
            .and_then(|block| block.repetition.as_ref());
        self.member_place(&address.module, repetition, expansion, address.key.as_ref())
    }

    /// Where the expressions of one member of a repetition stand. What a member's value waited for may be known by now.
    fn member_place(
        &self,
        module: &ModulePath,
        repetition: Option<&Repetition>,
        expansion: Option<&Expansion>,
        key: Option<&Key>,
    ) -> Place {
        let place = Place::in_module(module);
        let is_stale = expansion.is_some_and(|expansion| expansion.waits_for(key));
        if !is_stale {
            return place.of_member(expansion, key);
        }
        let again = self.repeated(module, repetition);
        place.of_member(again.as_ref().or(expansion), key)
    }

    /// Evaluates a repetition again, once for each state of knowledge.
    fn repeated(&self, module: &ModulePath, repetition: Option<&Repetition>) -> Option<Expansion> {
        let at = (module.clone(), repetition?.expr().span.clone());
        let generation = self.memo.borrow().generation;
        if let Some((known_at, expansion)) = self.repetitions.borrow().get(&at.1.start)
            && *known_at == generation
            && expansion.0 == at
        {
            return Some(expansion.1.clone());
        }
        let again = self.expand(repetition, &Place::in_module(module)).ok()?;
        let entry = (generation, (at.clone(), again.clone()));
        self.repetitions.borrow_mut().insert(at.1.start, entry);
        Some(again)
    }

    /// The value of a block with all its instances, each marked with its origin.
    fn block_value(&self, path: &ModulePath, key: &ResourceKey) -> Value {
        let Some(block) = self.blocks.get(&(path.clone(), key.clone())) else {
            return Value::unknown(Type::Any);
        };
        if let Some(whole) = block.whole.borrow().as_ref() {
            return whole.clone();
        }
        let unknown = || {
            let schema = self.registry.schema(key.mode, &key.resource_type);
            Value::unknown(schema.map_or(Type::Any, Schema::value_type))
        };
        let value = |member: Option<Key>| {
            let found = block.values.get(&member).cloned();
            found.unwrap_or_else(|| {
                let address = Address {
                    module: path.clone(),
                    mode: key.mode,
                    resource_type: Arc::clone(&key.resource_type),
                    name: Arc::clone(&key.name),
                    key: member,
                };
                unknown().marked(&Marks::origin(Arc::new(address)))
            })
        };
        let whole = block.expansion.collect(value);
        *block.whole.borrow_mut() = Some(whole.clone());
        whole
    }

    /// The value of a module call, or of the one output that is asked for.
    fn module_value(
        &self,
        path: &ModulePath,
        reference: &Reference,
        name: &Arc<str>,
    ) -> Result<Value, Vec<Diagnostic>> {
        let Some(expansion) = self.call(path, name) else {
            return Ok(Value::unknown(Type::Any));
        };
        let wanted = reference.path.iter().find_map(|step| match step {
            dmp_lang::reference::Step::Attribute(output, _) => Some(Arc::clone(output)),
            dmp_lang::reference::Step::Index(..) => None,
        });
        let mut diagnostics = Vec::new();
        let value = expansion.collect(|key| {
            let inside = path.child(name, key);
            let mut outputs = Members::new();
            let declared = self.module(&inside).map(|module| &module.outputs);
            for output in declared.into_iter().flat_map(|outputs| outputs.keys()) {
                if wanted.as_ref().is_none_or(|wanted| wanted == output) {
                    match self.output(&inside, output) {
                        Ok(value) => {
                            outputs.insert(Arc::clone(output), value);
                        }
                        Err(found) => diagnostics.extend(found),
                    }
                }
            }
            Value::object(outputs)
        });
        if diagnostics.is_empty() {
            Ok(value)
        } else {
            Err(diagnostics)
        }
    }

    /// The value of an output.
    ///
    /// # Errors
    /// What is wrong in its expression and was not reported yet.
    pub fn output(&self, path: &ModulePath, name: &Arc<str>) -> Result<Value, Vec<Diagnostic>> {
        let Some(output) = self
            .module(path)
            .and_then(|module| module.outputs.get(name))
        else {
            return Ok(Value::null());
        };
        let value = self.evaluate(&output.value, &Place::in_module(path))?;
        let mut marks = Marks::none();
        if output.sensitive {
            marks = marks.union(&Marks::sensitive());
        }
        if output.ephemeral {
            marks = marks.union(&Marks::ephemeral());
        }
        Ok(value.marked(&marks))
    }

    /// The value of a local, an input variable or the like, remembered while it can't change.
    fn remembered(
        &self,
        path: &ModulePath,
        target: &Target,
        make: impl FnOnce() -> Result<Value, Vec<Diagnostic>>,
    ) -> Result<Value, Vec<Diagnostic>> {
        let key = (path.clone(), target.clone());
        {
            let memo = self.memo.borrow();
            if let Some((generation, is_final, value)) = memo.values.get(&key)
                && (*is_final || *generation == memo.generation)
            {
                return Ok(value.clone());
            }
            if memo.failed.contains(&key) {
                return Ok(Value::unknown(Type::Any));
            }
        }
        let made = make();
        let mut memo = self.memo.borrow_mut();
        match &made {
            Ok(value) => {
                let entry = (memo.generation, value.is_wholly_known(), value.clone());
                memo.values.insert(key, entry);
            }
            Err(_) => {
                memo.failed.insert(key);
            }
        }
        made
    }

    /// The value of an input variable.
    fn variable(&self, path: &ModulePath, name: &Arc<str>) -> Result<Value, Vec<Diagnostic>> {
        let Some(declared) = self
            .module(path)
            .and_then(|module| module.variables.get(name))
        else {
            return Ok(Value::unknown(Type::Any));
        };
        let mut marks = Marks::none();
        if declared.sensitive {
            marks = marks.union(&Marks::sensitive());
        }
        if declared.ephemeral {
            marks = marks.union(&Marks::ephemeral());
        }
        let Some((call_name, call_key)) = path.0.last() else {
            let given = self.inputs.get(name).cloned().unwrap_or_else(Value::null);
            return Ok(given.marked(&marks));
        };
        let parent = ModulePath(path.0[..path.0.len() - 1].to_vec());
        let call = self
            .module(&parent)
            .and_then(|module| module.calls.get(call_name));
        let Some(input) = call.and_then(|call| call.inputs.get(name)) else {
            return Ok(declared
                .default
                .clone()
                .unwrap_or_else(Value::null)
                .marked(&marks));
        };
        let expansion = self.call(&parent, call_name);
        let repetition = call.and_then(|call| call.repetition.as_ref());
        let place = self.member_place(&parent, repetition, expansion, call_key.as_ref());
        let value = self.evaluate(&input.expr, &place)?;
        let value = match (&declared.default, declared.nullable) {
            (Some(default), false) if value.is_null() => default.clone().marked(value.marks()),
            _ => value,
        };
        let converted = convert(&value, &declared.ty, Strictness::Lenient).map_err(|error| {
            vec![
                Diagnostic::error("wrong-type", "wrong type")
                    .detail(format!("the input variable `{name}`: {error}"))
                    .at(input.expr.span.clone()),
            ]
        })?;
        Ok(converted.marked(&marks))
    }

    /// The conditions of an input variable that do not hold, or can't be decided yet (`None`).
    #[must_use]
    pub fn validate_variable(&self, path: &ModulePath, name: &Arc<str>) -> Vec<Diagnostic> {
        let Some(declared) = self
            .module(path)
            .and_then(|module| module.variables.get(name))
        else {
            return Vec::new();
        };
        self.failed_conditions(
            &declared.validations,
            &Place::in_module(path),
            "invalid-value",
            "unsuitable value",
        )
    }

    /// The conditions that are known not to hold.
    #[must_use]
    pub fn failed_conditions(
        &self,
        conditions: &[dmp_lang::config::Condition],
        place: &Place,
        code: &'static str,
        summary: &'static str,
    ) -> Vec<Diagnostic> {
        let mut failed = Vec::new();
        for condition in conditions {
            match self.evaluate(&condition.condition, place) {
                Ok(value) => match value.kind() {
                    Kind::Bool(true) | Kind::Unknown(_) => {}
                    Kind::Bool(false) => {
                        let message = self.evaluate(&condition.error_message, place).ok();
                        let message =
                            message.filter(|message| !message.deep_marks().is_sensitive());
                        let text = message
                            .as_ref()
                            .and_then(Value::as_str)
                            .unwrap_or("the condition does not hold");
                        failed.push(
                            Diagnostic::error(code, summary)
                                .detail(text)
                                .at(condition.condition.span.clone()),
                        );
                    }
                    _ => failed.push(
                        Diagnostic::error("wrong-type", "wrong type")
                            .detail("a condition must be `true` or `false`")
                            .at(condition.condition.span.clone()),
                    ),
                },
                Err(diagnostics) => failed.extend(diagnostics),
            }
        }
        failed
    }
}

/// The calls that lead to a module instance.
#[must_use]
pub fn config_path(path: &ModulePath) -> ConfigPath {
    ConfigPath(path.0.iter().map(|(name, _)| Arc::clone(name)).collect())
}

/// The block of an instance within its module.
#[must_use]
pub fn block_key(address: &Address) -> ResourceKey {
    ResourceKey {
        mode: address.mode,
        resource_type: Arc::clone(&address.resource_type),
        name: Arc::clone(&address.name),
    }
}

/// The address of an instance of a block.
#[must_use]
pub fn instance_address(path: &ModulePath, key: &ResourceKey, member: Option<Key>) -> Address {
    Address {
        module: path.clone(),
        mode: key.mode,
        resource_type: Arc::clone(&key.resource_type),
        name: Arc::clone(&key.name),
        key: member,
    }
}

/// Whether an address is a data source's.
#[must_use]
pub fn is_data(address: &Address) -> bool {
    address.mode == Mode::Data
}
