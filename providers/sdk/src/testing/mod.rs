//! A provider for tests, complete and small: its "cloud" is a file outside the process, so it outlives a kill.
//!
//! `test_thing` is made through calls and carries its mark in a field, as a virtual machine does; `test_entry` stands at
//! a natural key, as a file does. Faults are asked for in the cloud's file.
//!
//! [`conformance`] tries the contract of any resource type, clause by clause.

mod cloud;
pub mod conformance;
mod entry;
mod provider;
mod thing;

pub use cloud::{Cloud, Entry, Faults, State, Thing};
pub use provider::TestProvider;
