//! What dmp makes of bytes that nobody has thought of. Each target takes any bytes; a panic, a stack that overflows, or a
//! broken promise of the code under test is what it looks for.
//!
//! `cargo xtask fuzz NAME` lets a fuzzer that watches which code is reached make up such bytes. What it has kept lies in
//! `corpus/NAME.jsonl`, an input a line; the tests of this crate go through all of it.

mod corpus;
mod foreign;
mod state;
mod text;

pub use corpus::{Corpus, folder, pack, unpack};

/// What is tried, by name.
pub const TARGETS: &[Target] = &[
    Target {
        name: "parse",
        run: text::parse,
        seeds: text::files,
    },
    Target {
        name: "evaluate",
        run: text::evaluate,
        seeds: text::expressions,
    },
    Target {
        name: "format",
        run: text::format,
        seeds: text::files,
    },
    Target {
        name: "state",
        run: state::read,
        seeds: state::seeds,
    },
    Target {
        name: "import",
        run: foreign::read,
        seeds: foreign::seeds,
    },
];

/// Something that takes any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Tries one input.
    ///
    /// # Panics
    /// If a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs to begin with, beside the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The target of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.iter().find(|target| target.name == name).copied()
    }
}
