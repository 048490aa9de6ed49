//! Ids that are never used twice (of instances, intents, runs, batches and lineages), and what else is random.

use aws_lc_rs::rand;

/// Mints an id: 96 random bits, in lower-case hexadecimal, so that it may stand in names, tags and file names.
#[must_use]
pub fn mint_id() -> String {
    hex::encode(random::<12>())
}

/// Bytes that nobody can foresee, from which an apply takes all that it makes by chance.
#[must_use]
pub fn mint_seed() -> [u8; 32] {
    random()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random numbers nothing that follows would be safe.
    #[expect(
        clippy::expect_used,
        reason = "the operating system's random source does not fail"
    )]
    rand::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}
