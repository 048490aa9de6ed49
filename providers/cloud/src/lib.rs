//! What providers that make machines through an API have in common, and that nobody else needs.
//!
//! | part | what it does |
//! | --- | --- |
//! | `http` | pauses between requests, errors in words, segments of paths |
//! | `first_boot` | what cloud-init tells a machine at its first boot, and the host key that dmp makes for it |
//! | `iso` | the image that a NoCloud seed is |
//! | `reach` | how a machine is reached over SSH |
//! | `testing` | requests as a test's own server hears them |
//!
//! It knows no cloud: which calls there are, and what their answers mean, is each provider's own.

mod first_boot;
mod http;
pub mod iso;
mod reach;
#[cfg(feature = "testing")]
pub mod testing;

pub use first_boot::{FirstBoot, host_key, lines, parts};
pub use http::{Pauses, is_untrusted, segment, words};
pub use reach::{connection, whole};
