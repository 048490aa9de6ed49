//! A provider for tests, complete and small: its "cloud" is a file outside the process, so it outlives a kill.
//!
//! `test_thing` is made through calls and carries its mark in a field, as a virtual machine does; `test_entry` stands at
//! a natural key, as a file does; `test_bucket` bears a name that dmp chooses, `test_slot` a number that is chosen before
//! the call; `test_member` is known to a group that it leaves; `test_store` holds data; `test_handover` takes from one
//! machine what another gives. Faults are asked for in the cloud's file.
//!
//! [`conformance`] tries the contract of any resource type, clause by clause.

mod bucket;
mod cloud;
pub mod conformance;
mod entry;
mod handover;
mod member;
mod provider;
mod slot;
mod store;
mod thing;

pub use cloud::{Bucket, Cloud, Entry, Faults, Member, Slot, State, Store, Thing};
pub use provider::TestProvider;
