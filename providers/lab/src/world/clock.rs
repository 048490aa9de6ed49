//! Clocks. The lab goes by the host's; what a node tells of the time is told by the node's own clock, which a fault may shift.

use time::OffsetDateTime;
use time::macros::format_description;

use super::{World, now};
use crate::faults::Faults;

impl World {
    /// Returns what the clock of a node shows, in milliseconds since 1970.
    pub(crate) fn clock_of(&self, node: &str) -> u64 {
        shifted(now(), self.cluster.faults.ahead_of_node(node))
    }

    /// Ends all that goes wrong on demand, and begins to draw anew.
    pub(crate) fn clear_faults(&mut self) {
        let clocks = self.cluster.faults.clocks.keys().copied();
        let orders: Vec<_> = clocks.map(super::Order::SetClock).collect();
        self.cluster.faults = Faults::new(self.cluster.site.seed);
        // They have the host's time again.
        self.orders.extend(orders);
    }
}

/// Returns a time in milliseconds that is so many seconds later, or earlier.
fn shifted(time: u64, seconds: i64) -> u64 {
    time.saturating_add_signed(seconds.saturating_mul(1000))
}

/// Returns a time in milliseconds as the header `Date` tells it (RFC 9110, 5.6.7).
pub(crate) fn http_date(time: u64) -> String {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let seconds = i64::try_from(time / 1000).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds);
    let told = moment.ok().and_then(|moment| moment.format(form).ok());
    told.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shifted_both_ways_and_told_as_http_has_them() {
        // 2026-12-01 06:00:00.
        let time = 1_796_104_800_000;
        assert_eq!(http_date(time), "Tue, 01 Dec 2026 06:00:00 GMT");
        assert_eq!(
            http_date(shifted(time, 3600)),
            "Tue, 01 Dec 2026 07:00:00 GMT"
        );
        assert_eq!(
            http_date(shifted(time, -86_400)),
            "Mon, 30 Nov 2026 06:00:00 GMT"
        );
    }
}
