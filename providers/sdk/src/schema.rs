//! What a resource type, a data source or a provider configuration looks like, and what the engine has to
//! know of it: layer, hosting, marks, data. Reference pages and completion are made from here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::counterpart::Counterpart;
use crate::types::{Member, Type};
use crate::value::Value;

/// The schema of one block type.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The type's name, such as `host_file`.
    pub name: Arc<str>,
    /// What the object is, in one sentence; more paragraphs may follow.
    pub doc: &'static str,
    /// Grows when the recorded form changes; `upgrade` leads from each older one.
    pub version: u32,
    /// Arguments and attributes by name.
    pub attributes: BTreeMap<Arc<str>, Attribute>,
    /// Where it is shown.
    pub layer: Layer,
    /// Whether the object's end is the end of what it hosts.
    pub ends_hosted: bool,
    /// Whether it holds data, and of which worth.
    pub holds_data: HoldsData,
    /// How an object is found again after a create that was cut off.
    pub mark: MarkWay,
    /// What deleting one does, in a sentence for the reference and the plan.
    pub on_delete: &'static str,
    /// Whose objects can be imported out of a state of Terraform or OpenTofu.
    pub counterparts: Vec<Counterpart>,
    /// What lists the objects that are there, dmp's own and others'.
    pub listed_by: Option<ListedBy>,
}

/// The data source that lists what is there of a resource type, for `dmp query`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedBy {
    /// The data source.
    pub data_source: &'static str,
    /// What it is told, beside nothing: attributes that are texts.
    pub only: &'static [(&'static str, &'static str)],
    /// Its attribute with the list of objects.
    pub items: &'static str,
    /// The member of each that is the id of an `import` block: a text or a number.
    pub id: &'static str,
    /// The member of each that is its name.
    pub name: &'static str,
}

/// One argument or attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its type.
    pub ty: Type,
    /// What it is for, with units and forms.
    pub doc: &'static str,
    /// Who sets it.
    pub presence: Presence,
    /// Never shown, encrypted at rest.
    pub sensitive: bool,
    /// In no state and no plan file; asked for at each run.
    pub ephemeral: bool,
    /// A change of it can't be made in place.
    pub replaces: bool,
    /// Its origin is what the object lives on.
    pub hosting: Option<Quantifier>,
    /// Whether it may be written as nested blocks (`name { … }`), repeated for a list.
    pub block: bool,
    /// Whether two objects may have it equal (fixed ids, paths, names): the plan refuses a clash of all `unique`
    /// attributes of a type together.
    pub unique: bool,
}

/// Who sets an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The configuration must.
    Required,
    /// The configuration may; otherwise it is this, or nothing.
    Optional(Option<Value>),
    /// The configuration may; otherwise the server fills it.
    OptionalComputed,
    /// Only the server fills it.
    Computed,
}

/// How many of several hosts an object needs to live.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Quantifier {
    /// Every one.
    All,
    /// One is enough.
    Any,
    /// More than half.
    Quorum,
}

impl fmt::Display for Quantifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Any => "any",
            Self::Quorum => "a quorum",
        })
    }
}

/// The layer of a resource type: groups what a person sees, never orders work.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Networks, ports, addresses.
    Network,
    /// Virtual and physical machines.
    Machine,
    /// What is inside an operating system.
    Host,
    /// The cluster.
    Cluster,
    /// Storage.
    Storage,
    /// The platform on top.
    Platform,
}

impl Layer {
    /// All layers from the ground up.
    pub const ALL: [Self; 6] = [
        Self::Network,
        Self::Machine,
        Self::Host,
        Self::Cluster,
        Self::Storage,
        Self::Platform,
    ];

    /// The name as it is written in HCL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Machine => "machine",
            Self::Host => "host",
            Self::Cluster => "cluster",
            Self::Storage => "storage",
            Self::Platform => "platform",
        }
    }

    /// The layer of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.as_str() == name)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The worth of the data that an object holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldsData {
    /// None.
    #[default]
    None,
    /// Data that can be made again.
    Derived,
    /// Data that nobody can make again, unless there is a copy.
    Primary,
}

/// How an object carries its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkWay {
    /// In a field that the creating call takes: a tag, metadata, a description.
    Field(&'static str),
    /// In a name that dmp chooses.
    ChosenName(&'static str),
    /// Not at all: a path, a package's name or the like says which object it is.
    NaturalKey(&'static [&'static str]),
    /// An id chosen and recorded before the call, with a second identity read back after it.
    IdBefore {
        /// The attribute that holds the id.
        id: &'static str,
        /// The attribute that must agree before anything is changed.
        second: &'static str,
    },
    /// Not at all: the object is nothing but its record. It has no fetches, and `parse` makes it of what was chosen.
    Record,
}

impl Schema {
    /// A schema without attributes, of layer host, found by natural key.
    #[must_use]
    pub fn new(name: &str, doc: &'static str) -> Self {
        Self {
            name: name.into(),
            doc,
            version: 1,
            attributes: BTreeMap::new(),
            layer: Layer::Host,
            ends_hosted: false,
            holds_data: HoldsData::None,
            mark: MarkWay::NaturalKey(&[]),
            on_delete: "",
            counterparts: Vec::new(),
            listed_by: None,
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, attribute: Attribute) -> Self {
        self.attributes.insert(name.into(), attribute);
        self
    }

    /// Sets the layer.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layer = layer;
        self
    }

    /// Sets how objects are marked.
    #[must_use]
    pub fn mark(mut self, mark: MarkWay) -> Self {
        self.mark = mark;
        self
    }

    /// Says that what is hosted on the object ends with it.
    #[must_use]
    pub fn ends_hosted(mut self) -> Self {
        self.ends_hosted = true;
        self
    }

    /// Sets the worth of the data in it.
    #[must_use]
    pub fn holds_data(mut self, worth: HoldsData) -> Self {
        self.holds_data = worth;
        self
    }

    /// Sets the schema's version.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Says what deleting does.
    #[must_use]
    pub fn on_delete(mut self, sentence: &'static str) -> Self {
        self.on_delete = sentence;
        self
    }

    /// Names a resource type of Terraform and OpenTofu whose objects can be imported, with the forms that the id of an
    /// `import` block may have (see [`Counterpart::ids`]).
    #[must_use]
    pub fn counterpart(mut self, name: &'static str, ids: &'static [&'static str]) -> Self {
        self.counterparts.push(Counterpart { name, ids });
        self
    }

    /// Says which data source lists what is there of the type.
    #[must_use]
    pub fn listed_by(mut self, listing: ListedBy) -> Self {
        self.listed_by = Some(listing);
        self
    }

    /// Whether objects of the type are found by a natural key.
    #[must_use]
    pub fn has_natural_key(&self) -> bool {
        matches!(self.mark, MarkWay::NaturalKey(_))
    }

    /// The id that was chosen before the create, of a type that is marked so.
    #[must_use]
    pub fn chosen_id(&self, chosen: &Value) -> Option<String> {
        let MarkWay::IdBefore { id, .. } = self.mark else {
            return None;
        };
        let id = chosen.get(id);
        let number = || id.as_i64().map(|number| number.to_string());
        id.as_str().map(ToOwned::to_owned).or_else(number)
    }

    /// The type of the whole: an object of all attributes.
    #[must_use]
    pub fn value_type(&self) -> Type {
        let member = |(name, attribute): (&Arc<str>, &Attribute)| {
            (
                Arc::clone(name),
                Member {
                    ty: attribute.ty.clone(),
                    optional: true,
                    default: None,
                },
            )
        };
        Type::Object(self.attributes.iter().map(member).collect())
    }

    /// The names of what the configuration may set.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.attributes
            .iter()
            .filter(|(_, attribute)| attribute.is_settable())
            .map(|(name, _)| name.as_ref())
    }
}

impl Attribute {
    fn new(ty: Type, doc: &'static str, presence: Presence) -> Self {
        Self {
            ty,
            doc,
            presence,
            sensitive: false,
            ephemeral: false,
            replaces: false,
            hosting: None,
            block: false,
            unique: false,
        }
    }

    /// An argument that must be given.
    #[must_use]
    pub fn required(ty: Type, doc: &'static str) -> Self {
        Self::new(ty, doc, Presence::Required)
    }

    /// An argument that may be given.
    #[must_use]
    pub fn optional(ty: Type, doc: &'static str) -> Self {
        Self::new(ty, doc, Presence::Optional(None))
    }

    /// An argument with a default.
    #[must_use]
    pub fn default(ty: Type, doc: &'static str, default: impl Into<Value>) -> Self {
        Self::new(ty, doc, Presence::Optional(Some(default.into())))
    }

    /// An attribute that only the server fills.
    #[must_use]
    pub fn computed(ty: Type, doc: &'static str) -> Self {
        Self::new(ty, doc, Presence::Computed)
    }

    /// An argument that the server fills if it was not given.
    #[must_use]
    pub fn optional_computed(ty: Type, doc: &'static str) -> Self {
        Self::new(ty, doc, Presence::OptionalComputed)
    }

    /// Never shown, encrypted at rest.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// In no state and no plan file.
    #[must_use]
    pub fn ephemeral(mut self) -> Self {
        self.ephemeral = true;
        self
    }

    /// A change replaces the object.
    #[must_use]
    pub fn replaces(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// What the argument comes from is what the object lives on.
    #[must_use]
    pub fn hosting(mut self, quantifier: Quantifier) -> Self {
        self.hosting = Some(quantifier);
        self
    }

    /// May be written as nested blocks.
    #[must_use]
    pub fn block(mut self) -> Self {
        self.block = true;
        self
    }

    /// Part of what no two objects of the type may share.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Whether the configuration may set it.
    #[must_use]
    pub fn is_settable(&self) -> bool {
        self.presence != Presence::Computed
    }

    /// Whether the server may fill it.
    #[must_use]
    pub fn is_computed(&self) -> bool {
        matches!(
            self.presence,
            Presence::Computed | Presence::OptionalComputed
        )
    }
}
