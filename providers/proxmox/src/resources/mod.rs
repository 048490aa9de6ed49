//! One file or folder per resource type.

pub(crate) mod firewall;
pub(crate) mod image;
pub(crate) mod pool;
pub(crate) mod sdn;
pub(crate) mod snapshot;
pub(crate) mod vm;
