//! Ranges of addresses, of IPv4 and IPv6 alike.

use std::net::IpAddr;

/// A range, `127.20.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: IpAddr,
    bits: u8,
}

/// Returns an address as a number.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Returns the address of a number, of the version that another one is of.
pub(super) fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
        IpAddr::V6(_) => IpAddr::V6(number.into()),
    }
}

impl Range {
    /// Reads a range; bits of a host are taken away.
    pub(super) fn parse(text: &str) -> Option<Range> {
        let (first, bits) = text.split_once('/')?;
        let (first, bits): (IpAddr, u8) = (first.parse().ok()?, bits.parse().ok()?);
        let width = if first.is_ipv4() { 32 } else { 128 };
        let range = Range { first, bits };
        (bits <= width).then(|| Range {
            first: address(number(first) & !range.hosts(), first),
            bits,
        })
    }

    fn hosts(self) -> u128 {
        let width = if self.first.is_ipv4() { 32 } else { 128 };
        let free = u32::from(width - self.bits);
        1u128.checked_shl(free).map_or(u128::MAX, |size| size - 1)
    }

    /// Returns its first address, which is that of the network.
    pub(super) fn first(self) -> IpAddr {
        self.first
    }

    /// Returns how many bits all its addresses have in common.
    pub(super) fn bits(self) -> u8 {
        self.bits
    }

    pub(super) fn version(self) -> u8 {
        if self.first.is_ipv4() { 4 } else { 6 }
    }

    /// Returns its last address.
    pub(super) fn last(self) -> IpAddr {
        address(number(self.first) | self.hosts(), self.first)
    }

    /// Returns the address at a place in it, if there is one.
    pub(super) fn at(self, place: u128) -> Option<IpAddr> {
        (place <= self.hosts()).then(|| address(number(self.first) + place, self.first))
    }

    pub(super) fn contains(self, other: IpAddr) -> bool {
        self.first.is_ipv4() == other.is_ipv4()
            && (number(self.first)..=number(self.last())).contains(&number(other))
    }

    pub(super) fn overlaps(self, other: Range) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_knows_its_ends_of_both_versions() {
        let four = Range::parse("127.20.0.9/24").expect("a range");
        assert_eq!(four.to_string(), "127.20.0.0/24");
        assert_eq!(four.last().to_string(), "127.20.0.255");
        assert_eq!(
            four.at(1).map(|it| it.to_string()),
            Some("127.20.0.1".into())
        );
        assert_eq!(four.at(256), None);
        let six = Range::parse("fd00::/64").expect("a range");
        assert_eq!(six.last().to_string(), "fd00::ffff:ffff:ffff:ffff");
        assert!(!four.overlaps(six));
        assert!(four.overlaps(Range::parse("127.20.0.128/25").expect("a range")));
        assert_eq!(
            Range::parse("0.0.0.0/0").map(|it| it.last().to_string()),
            Some("255.255.255.255".into())
        );
        assert_eq!(Range::parse("127.0.0.1/33"), None);
    }
}
