//! The scaffolding of the live tests: real machines, a real site, and the real `dmp` binary inside their network.
//!
//! A test takes the [`Lab`] which `cargo xtask live NAME` has prepared, starts the [`Machine`]s it wants, runs [`Dmp`] in a
//! folder with a stack and looks at what came of it, also by [`Snapshot`]s of a machine before and after. Everything here
//! panics with the words of what failed, as tests do. Nothing here knows how the lab is made: that is `lab/lab`'s work.

mod cloud;
mod dmp;
mod lab;
mod machine;
mod proxy;
mod snapshot;
mod variables;

pub use cloud::{Answer, Cloud};
pub use dmp::{Dmp, Outcome};
pub use lab::Lab;
pub use machine::{Machine, Plug};
pub use proxy::{Asked, Fault, Proxy, Verb};
pub use snapshot::{Entry, Snapshot};
pub use variables::Variables;
