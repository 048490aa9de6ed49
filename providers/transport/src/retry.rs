//! How long to pause between attempts: growing, with jitter, up to a bound.

use std::time::Duration;

/// Pauses that grow.
#[derive(Debug)]
pub(crate) struct Pace {
    next: Duration,
    most: Duration,
}

impl Pace {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { next: first, most }
    }

    /// The next pause: between half and the whole of what has been reached.
    pub(crate) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.most);
        let mut random = [0_u8; 1];
        // Without randomness there is no jitter, which is no reason to fail.
        let _ = aws_lc_rs::rand::fill(&mut random);
        whole / 2 + whole / 2 * u32::from(random[0]) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_bound() {
        let mut pace = Pace::new(Duration::from_millis(100), Duration::from_secs(2));
        let pauses: Vec<_> = (0..10).map(|_| pace.pause()).collect();
        assert!(pauses[0] >= Duration::from_millis(50) && pauses[0] <= Duration::from_millis(100));
        assert!(pauses[9] >= Duration::from_secs(1) && pauses[9] <= Duration::from_secs(2));
    }
}
