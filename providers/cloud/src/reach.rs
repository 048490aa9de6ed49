//! How a machine is reached over SSH, and numbers of a provider block.

use std::ops::RangeInclusive;

use dmp_sdk::{AttributePath, Diagnostic, Machine, Value};

/// How a machine is reached at an address by a user: by its attributes `ssh_port`, `bastion` and `host_key`. `None` while its
/// bastion is not known.
#[must_use]
pub fn connection(value: &Value, address: &str, user: String) -> Option<Machine> {
    let port = value.get("ssh_port").as_i64();
    let bastion = value.get("bastion");
    let mut bastions = Vec::new();
    if !bastion.is_null() {
        let mut hop = Machine::from_value(&bastion).ok()?;
        bastions = std::mem::take(&mut hop.bastions);
        bastions.push(hop);
    }
    let host_key = value.get("host_key");
    Some(Machine {
        address: address.to_owned(),
        port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(22),
        sudo: user != "root",
        user,
        host_keys: host_key
            .as_str()
            .map(ToOwned::to_owned)
            .into_iter()
            .collect(),
        bastions,
        ..Machine::default()
    })
}

/// A whole number of a provider block, or what it is by default.
///
/// # Errors
/// When it is none, or out of its range.
pub fn whole(
    config: &Value,
    name: &str,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Diagnostic> {
    let value = config.get(name);
    if value.is_null() {
        return Ok(default);
    }
    let number = value.as_i64().and_then(|number| u64::try_from(number).ok());
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            Diagnostic::error("bad-configuration", "unusable provider configuration")
                .detail(format!("`{name}` is a whole number from {from} to {to}"))
                .path(AttributePath::of(name))
        })
}
