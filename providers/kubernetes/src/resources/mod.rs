//! One file per resource type.

pub(crate) mod manifest;
mod wait;
