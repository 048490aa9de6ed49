//! Ids that are never used twice: of instances, intents, runs, batches and lineages.

use aws_lc_rs::rand;

/// Mints an id: 96 random bits, in lower-case hexadecimal, so that it may stand in names, tags and file names.
#[must_use]
pub fn mint_id() -> String {
    let mut bytes = [0_u8; 12];
    // Without random numbers nothing that follows would be safe.
    #[expect(
        clippy::expect_used,
        reason = "the operating system's random source does not fail"
    )]
    rand::fill(&mut bytes).expect("the operating system gives random numbers");
    hex::encode(bytes)
}
