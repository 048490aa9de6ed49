//! One file or folder per resource type.

pub(crate) mod vm;
