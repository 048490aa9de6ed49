//! One file per data source.

pub(crate) mod manifest;
