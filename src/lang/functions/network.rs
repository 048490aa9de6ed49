//! IP networks: `cidrhost` and its kin, for IPv4 and IPv6.

use std::net::{Ipv4Addr, Ipv6Addr};

use dmp_sdk::{Number, Value};

use super::{Fault, Function, Gives, number, text, text_of, whole_of};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "cidrcontains",
        &[text("prefix"), text("address")],
        Gives::Bool,
        cidrcontains,
    ),
    Function::new(
        "cidrhost",
        &[text("prefix"), number("number")],
        Gives::Text,
        cidrhost,
    ),
    Function::new("cidrnetmask", &[text("prefix")], Gives::Text, cidrnetmask),
    Function::new(
        "cidrsubnet",
        &[text("prefix"), number("bits"), number("number")],
        Gives::Text,
        cidrsubnet,
    ),
    Function::new("cidrsubnets", &[text("prefix")], Gives::Texts, cidrsubnets)
        .variadic(number("bits")),
];

/// A network: its first address and the length of its prefix.
#[derive(Clone, Copy)]
struct Network {
    first: u128,
    length: u32,
    /// Bits of an address: 32 or 128.
    width: u32,
}

impl Network {
    fn parse(given: &str) -> Result<Self, Fault> {
        let wrong = || {
            Fault::of(0, "an address with a prefix length is required")
                .help("write it like `10.0.0.0/16`")
        };
        let (address, length) = given.split_once('/').ok_or_else(wrong)?;
        let are_digits = length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u32 = length.parse().map_err(|_| wrong())?;
        let (bits, width) = address_of(address)
            .filter(|_| are_digits)
            .ok_or_else(wrong)?;
        if length > width {
            return Err(wrong());
        }
        Ok(Self {
            first: bits & !low_bits(width - length),
            length,
            width,
        })
    }

    fn host_bits(self) -> u32 {
        self.width - self.length
    }

    fn address(self, bits: u128) -> String {
        match self.width {
            32 => {
                Ipv4Addr::from(u32::try_from(bits & low_bits(32)).unwrap_or_default()).to_string()
            }
            _ => Ipv6Addr::from(bits).to_string(),
        }
    }

    fn subnet(self, more_bits: i64, number: u128) -> Result<Self, Fault> {
        let more_bits = u32::try_from(more_bits)
            .ok()
            .filter(|bits| *bits <= self.host_bits())
            .ok_or_else(|| {
                Fault::of(
                    1,
                    format!(
                        "the prefix can be extended by 0 to {} bits",
                        self.host_bits()
                    ),
                )
            })?;
        if number > low_bits(more_bits) {
            return Err(Fault::of(
                2,
                format!("{more_bits} bits have no room for this number"),
            ));
        }
        let length = self.length + more_bits;
        let shift = self.width - length;
        let offset = if shift >= 128 { 0 } else { number << shift };
        Ok(Self {
            first: self.first | offset,
            length,
            width: self.width,
        })
    }
}

/// The bits of an address and how many there are. Numbers of IPv4 may begin with zeros.
fn address_of(text: &str) -> Option<(u128, u32)> {
    if text.contains(':') {
        let address: Ipv6Addr = text.parse().ok()?;
        return Some((address.into(), 128));
    }
    let parts: Vec<&str> = text.split('.').collect();
    let mut bits: u128 = 0;
    for part in &parts {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number: u8 = is_number.then(|| part.parse().ok()).flatten()?;
        bits = bits << 8 | u128::from(number);
    }
    (parts.len() == 4).then_some((bits, 32))
}

fn low_bits(count: u32) -> u128 {
    match count {
        128.. => u128::MAX,
        count => (1_u128 << count) - 1,
    }
}

fn whole(arguments: &[Value], index: usize) -> Result<i128, Fault> {
    let found = arguments.get(index).and_then(Value::as_number);
    let whole = found
        .map(Number::to_string)
        .and_then(|text| text.parse().ok());
    whole.ok_or_else(|| Fault::of(index, "a whole number is required"))
}

/// The second is an address, or a network that has to lie wholly in the first.
fn cidrcontains(arguments: &[Value]) -> Result<Value, Fault> {
    let network = Network::parse(text_of(arguments, 0))?;
    let given = text_of(arguments, 1);
    let inside = match address_of(given) {
        Some((first, width)) => Network {
            first,
            length: width,
            width,
        },
        None => Network::parse(given).map_err(|fault| Fault {
            argument: Some(1),
            ..fault
        })?,
    };
    if network.width != inside.width {
        let why = "one is of IPv4, the other of IPv6";
        return Err(Fault::of(1, why));
    }
    let mask = !low_bits(network.host_bits());
    let is_inside = inside.length >= network.length && inside.first & mask == network.first;
    Ok(is_inside.into())
}

/// A negative number counts from the end.
fn cidrhost(arguments: &[Value]) -> Result<Value, Fault> {
    let network = Network::parse(text_of(arguments, 0))?;
    let wanted = whole(arguments, 1)?;
    let last = low_bits(network.host_bits());
    let size = wanted.unsigned_abs();
    let offset = match wanted < 0 {
        false if size <= last => size,
        true if size - 1 <= last => last - (size - 1),
        _ => return Err(Fault::of(1, "the network has no such address")),
    };
    Ok(network.address(network.first | offset).into())
}

fn cidrnetmask(arguments: &[Value]) -> Result<Value, Fault> {
    let network = Network::parse(text_of(arguments, 0))?;
    if network.width != 32 {
        return Err(Fault::of(0, "only IPv4 has netmasks"));
    }
    Ok(network
        .address(low_bits(32) & !low_bits(network.host_bits()))
        .into())
}

fn cidrsubnet(arguments: &[Value]) -> Result<Value, Fault> {
    let network = Network::parse(text_of(arguments, 0))?;
    let number =
        u128::try_from(whole(arguments, 2)?).map_err(|_| Fault::of(2, "it can't be negative"))?;
    let subnet = network.subnet(whole_of(arguments, 1)?, number)?;
    Ok(written(subnet).into())
}

/// Consecutive networks, each on its own boundary.
fn cidrsubnets(arguments: &[Value]) -> Result<Value, Fault> {
    let network = Network::parse(text_of(arguments, 0))?;
    let mut found = Vec::new();
    let mut next = Some(network.first);
    let last = network.first | low_bits(network.host_bits());
    for index in 1..arguments.len() {
        let bits = whole_of(arguments, index)?;
        if bits < 1 {
            return Err(Fault::of(
                index,
                "each prefix is extended by one bit at least",
            ));
        }
        let mut subnet = network.subnet(bits, 0)?;
        let room = low_bits(subnet.host_bits());
        let full = || Fault::of(index, "the network has no room left for this one");
        let start = next.ok_or_else(full)?;
        let aligned = start.checked_add(room).ok_or_else(full)? & !room;
        if aligned > last || last - aligned < room {
            return Err(full());
        }
        subnet.first = aligned;
        next = aligned.checked_add(room).and_then(|end| end.checked_add(1));
        found.push(Value::from(written(subnet)));
    }
    Ok(Value::list(found))
}

fn written(network: Network) -> String {
    format!("{}/{}", network.address(network.first), network.length)
}
