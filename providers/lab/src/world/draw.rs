//! What is drawn: the same for the same seed and the same calls.

use serde::{Deserialize, Serialize};

use crate::Trouble;

/// A source of numbers that goes on where it was left.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// Returns the next number (SplitMix64).
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Whether something happens that happens in so many of a hundred cases.
    pub(crate) fn happens(&mut self, percent: u8) -> bool {
        self.number() % 100 < u64::from(percent)
    }

    /// Returns a MAC address of the range that the real one draws from.
    pub(crate) fn mac(&mut self) -> String {
        let bytes = self.number().to_be_bytes();
        format!(
            "BC:24:11:{:02X}:{:02X}:{:02X}",
            bytes[5], bytes[6], bytes[7]
        )
    }

    /// Returns an identity.
    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.number().to_be_bytes());
        uuid(bytes)
    }

    /// Returns an identity that nobody can guess.
    pub(crate) fn secret_uuid() -> Result<String, Trouble> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Trouble::NoRandom)?;
        Ok(uuid(bytes))
    }
}

fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}
