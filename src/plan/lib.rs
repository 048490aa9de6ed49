//! From configuration and recorded state to actions with reasons. Pure: the planner asks its driver for what it needs
//! to have read, and is resumed with the answers.
//!
//! | part | what it does |
//! | --- | --- |
//! | `registry` | the resource types that this dmp knows |
//! | `world` | the values of a run, evaluated on demand |
//! | `instance` | what happens to one instance |
//! | `selection` | the part of the stack that a run is about |
//! | `planner` | one pass over the configuration, in dependency order |
//! | `ending` | what is deleted, and what is lost with its host |
//! | `replacing` | which half of a replacement comes first |
//! | `moves` | `moved` blocks |
//! | `classify` | what a refresh says of all that is recorded |
//! | `what_if` | what each single loss would take along |
//! | `clash` | two instances that are one object |
//! | `imports` | what `import` blocks may not do |
//! | `redact` | secrets that others quote |
//! | `ops` | the work of a plan and its order |
//! | `envelope` | whether a late decision is within what was approved |

pub mod ask;
mod clash;
pub mod classify;
pub mod drift;
pub mod ending;
pub mod envelope;
pub mod imports;
pub mod instance;
pub mod model;
pub mod moves;
pub mod ops;
pub mod planner;
pub mod redact;
pub mod registry;
mod replacing;
pub mod selection;
pub mod what_if;
pub mod world;

pub use ask::{Finding, Findings, ReadKind, ReadRequest};
pub use model::{Deferred, Drift, Earlier, OutputChange, Plan, Planned};
pub use planner::{Planner, PlannerInput, ProviderState};
pub use registry::Registry;
pub use world::{Surroundings, World};
