//! Carries out a plan: one owner of the truth lines up all events, workers neither print nor write state.
//!
//! | part | what it does |
//! | --- | --- |
//! | `run` | what a run works with |
//! | `settle` | intents of earlier runs, before anything else |
//! | `late` | what an earlier run asked for and what may still come about |
//! | `walker` | starts what is ready, takes what comes back |
//! | `decide` | plans an instance again with what is known by now |
//! | `batches` | what goes to one machine together |
//! | `drafts` | what takes effect together, over an API |
//! | `work` | tasks: batches, steps over several machines, calls of an API |
//! | `finish` | the record after each operation |
//! | `health` | whether a member of a group works, before the next one is out |
//! | `checks` | whether it works, looked at from outside |
//!
//! Before anything outside is changed its intent is on disk; after each change its record is.

mod batches;
mod checks;
mod decide;
mod drafts;
mod fail;
mod finish;
mod health;
mod late;
mod limits;
mod run;
mod settle;
mod walker;
mod work;

pub use checks::{Checks, check};
pub use fail::point as fail_point;
pub use limits::Limits;
pub use run::{Outcome, Run, Services, Stop};
pub use settle::settle;
pub use walker::apply;
