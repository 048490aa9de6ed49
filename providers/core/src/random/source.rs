//! Where randomness comes from: the cryptographic generator of aws-lc, which the operating system seeds; or a text, for
//! results that are to be the same each time.

use aws_lc_rs::rand;
use dmp_sdk::{Diagnostic, Value};
use sha2::{Digest, Sha256};

/// A source of random numbers.
pub(crate) enum Source {
    /// Nobody can foresee it.
    System,
    /// SHA-256 over a text and a counter: the same numbers for the same text.
    Seeded {
        /// The text.
        seed: String,
        /// How many blocks were taken.
        count: u64,
    },
}

impl Source {
    /// Seeded, if a seed is given.
    pub(crate) fn of(seed: &Value) -> Self {
        match seed.as_str() {
            Some(seed) if !seed.is_empty() => Self::Seeded {
                seed: seed.to_owned(),
                count: 0,
            },
            _ => Self::System,
        }
    }

    fn next(&mut self) -> Result<u64, Diagnostic> {
        let mut block = [0; 8];
        match self {
            Self::System => fill(&mut block)?,
            Self::Seeded { seed, count } => {
                let mut digest = Sha256::new();
                digest.update(count.to_be_bytes());
                digest.update(seed.as_bytes());
                *count += 1;
                block.copy_from_slice(&digest.finalize()[..8]);
            }
        }
        Ok(u64::from_be_bytes(block))
    }

    /// A number from 0 to `most`, each as likely as the others.
    pub(crate) fn up_to(&mut self, most: u64) -> Result<u64, Diagnostic> {
        let Some(count) = most.checked_add(1) else {
            return self.next();
        };
        // Beyond the last whole multiple some numbers would come more often.
        let beyond = u64::MAX - (u64::MAX % count + 1) % count;
        loop {
            let number = self.next()?;
            if number <= beyond {
                return Ok(number % count);
            }
        }
    }

    /// One of several.
    pub(crate) fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> Result<&'a T, Diagnostic> {
        let most = all.len().saturating_sub(1);
        let index = self.up_to(u64::try_from(most).unwrap_or(u64::MAX))?;
        let chosen = usize::try_from(index).ok().and_then(|index| all.get(index));
        chosen
            .copied()
            .ok_or_else(|| Diagnostic::bug("nothing to choose from"))
    }

    /// Puts them into another order, each order as likely as the others.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) -> Result<(), Diagnostic> {
        for last in (1..items.len()).rev() {
            let other = self.up_to(u64::try_from(last).unwrap_or(u64::MAX))?;
            items.swap(last, usize::try_from(other).unwrap_or(last));
        }
        Ok(())
    }
}

fn fill(into: &mut [u8]) -> Result<(), Diagnostic> {
    rand::fill(into).map_err(|_| {
        Diagnostic::error("no-randomness", "the system gives no random numbers")
            .help("try again when the machine has gathered entropy")
    })
}

/// Random bytes that nobody can foresee.
pub(crate) fn bytes(count: usize) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes = vec![0; count];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_range_and_fill_it() {
        let mut seen = [false; 6];
        for _ in 0..1000 {
            let number = Source::System.up_to(5).expect("random");
            seen[usize::try_from(number).expect("small")] = true;
        }
        assert_eq!(seen, [true; 6]);
        assert_eq!(Source::System.up_to(0).expect("random"), 0);
        Source::System.up_to(u64::MAX).expect("the whole range");
    }

    #[test]
    fn a_seed_gives_the_same_each_time_and_another_seed_something_else() {
        let draw = |seed: &str| {
            let mut source = Source::of(&seed.into());
            let mut items: Vec<u32> = (0..20).collect();
            source.shuffle(&mut items).expect("shuffles");
            items
        };
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
        let mut sorted = draw("a");
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    }
}
