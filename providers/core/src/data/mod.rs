//! What is read where dmp runs: files, its environment, and what programs say.

mod environment;
pub(crate) mod external;
mod file;

pub(crate) use environment::Environment;
pub(crate) use external::External;
pub(crate) use file::FileSource;
