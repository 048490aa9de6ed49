//! Random values that stay: `core_random_…`. Arguments and results are named as those of Terraform's provider `random`.

mod id;
mod integer;
mod pet;
mod shuffle;
mod source;
mod string;
mod uuid;
mod words;

pub(crate) use id::RandomId;
pub(crate) use integer::RandomInteger;
pub(crate) use pet::RandomPet;
pub(crate) use shuffle::RandomShuffle;
pub(crate) use source::bytes;
pub(crate) use string::{RandomPassword, RandomString};
pub(crate) use uuid::RandomUuid;
