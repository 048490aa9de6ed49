//! What is read on machines: each file is one command, its parser, and a typed result.

pub(crate) mod account;
pub(crate) mod apt;
pub(crate) mod archive;
pub(crate) mod authorized;
pub(crate) mod boot;
pub(crate) mod compose;
pub(crate) mod deb822;
pub(crate) mod file;
pub(crate) mod filesystem;
pub(crate) mod hostname;
pub(crate) mod line;
pub(crate) mod machine;
pub(crate) mod module;
pub(crate) mod mount;
pub(crate) mod ports;
pub(crate) mod survey;
pub(crate) mod sysctl;
pub(crate) mod unit;
pub(crate) mod updates;
