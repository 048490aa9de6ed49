//! A provider for tests, complete and small: its "cloud" is a file outside the process, so it outlives a kill.
//!
//! `test_thing` is made through calls and carries its mark in a field, as a virtual machine does; `test_entry` stands at
//! a natural key, as a file does; `test_member` is known to a group that it leaves. Faults are asked for in the cloud's file.
//!
//! [`conformance`] tries the contract of any resource type, clause by clause.

mod cloud;
pub mod conformance;
mod entry;
mod member;
mod provider;
mod store;
mod thing;

pub use cloud::{Cloud, Entry, Faults, Member, State, Store, Thing};
pub use provider::TestProvider;
