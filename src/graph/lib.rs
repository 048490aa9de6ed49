//! Two graphs. [`ConfigGraph`] orders the blocks of a configuration, before any instance is known; [`Schedule`] orders
//! the work of a plan, and says what is ready while it is being done. Pure: neither evaluates nor reads anything.

mod config;
mod schedule;

pub use config::{ConfigGraph, ConfigPath, InstanceOf, Node, NodeId, ProviderOf};
pub use schedule::{Op, Progress, Schedule};
