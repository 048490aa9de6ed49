//! Reading, for everybody: the refresh of what the state records, what the planner asks for, what was just written.
//!
//! Only here are objects read. Wishes of all resources are merged: equal queries are asked once, all scripts of a
//! machine go in one exchange.

mod planning;
mod preflight;
mod reader;
mod recorded;

pub use planning::{Planning, plan};
pub use reader::{Reader, Tell};
pub use recorded::{Refresh, provider_of_record};
