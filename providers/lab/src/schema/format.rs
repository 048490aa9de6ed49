//! Named formats. What is not named here is let through; the real API checks it closer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::check::split;

/// Checks a value by the name of its format.
pub(super) fn check(name: &str, value: &str) -> Result<(), String> {
    if let Some(member) = name.strip_suffix("-list") {
        return split(value)
            .iter()
            .try_for_each(|value| check(member, value));
    }
    let told = match name {
        "pve-vmid" if !is_vmid(value) => "value does not look like a valid VM ID\n",
        "pve-node" if !is_label(value) => "value does not look like a valid node name\n",
        "dns-name" if !is_dns_name(value) => "value does not look like a valid DNS name\n",
        "ipv4" if value.parse::<Ipv4Addr>().is_err() => {
            "value does not look like a valid IPv4 address\n"
        }
        "ipv6" if value.parse::<Ipv6Addr>().is_err() => {
            "value does not look like a valid IPv6 address\n"
        }
        "ip" | "address" if name == "ip" && value.parse::<IpAddr>().is_err() => {
            "value does not look like a valid IP address\n"
        }
        "address" if value.parse::<IpAddr>().is_err() && !is_dns_name(value) => {
            "value does not look like a valid address\n"
        }
        "CIDRv4" if !is_cidr4(value) => "value does not look like a valid IPv4 network\n",
        "CIDRv6" if !is_cidr6(value) => "value does not look like a valid IPv6 network\n",
        "CIDR" if !is_cidr4(value) && !is_cidr6(value) => {
            "value does not look like a valid CIDR network\n"
        }
        "IPorCIDR" if !is_cidr4(value) && !is_cidr6(value) && value.parse::<IpAddr>().is_err() => {
            "value does not look like a valid IP address or CIDR network\n"
        }
        "mac-addr" if !is_unicast_mac(value) => {
            "value does not look like a valid unicast MAC address\n"
        }
        "pve-ipv4-config" if !matches!(value, "dhcp" | "manual") && !is_cidr4(value) => {
            "value does not look like a valid ipv4 network configuration\n"
        }
        "pve-ipv6-config" if !matches!(value, "auto" | "dhcp" | "manual") && !is_cidr6(value) => {
            "value does not look like a valid ipv6 network configuration\n"
        }
        "pve-tag" if !is_tag(value) => "invalid characters in tag\n",
        "urlencoded" if !is_urlencoded(value) => {
            return Err(format!("invalid urlencoded string: {value}\n"));
        }
        "pve-configid" if !is_config_id(value) => {
            return Err(format!("invalid configuration ID '{value}'\n"));
        }
        "pve-storage-id" if !is_storage_id(value) => {
            return Err(format!(
                "storage ID '{value}' contains illegal characters\n"
            ));
        }
        "pve-poolid" if !value.split('/').all(is_pool_part) => {
            return Err(format!("pool name '{value}' contains invalid characters\n"));
        }
        "pve-userid" if !is_user_id(value) => {
            return Err(format!(
                "value '{value}' does not look like a valid user name\n"
            ));
        }
        "pve-sdn-zone-id" if !is_sdn_id(value) => {
            return Err(format!("zone ID '{value}' contains illegal characters\n"));
        }
        "pve-sdn-vnet-id" if !is_sdn_id(value) => {
            return Err(format!("vnet ID '{value}' contains illegal characters\n"));
        }
        "disk-size" if size(value).is_none() => {
            return Err(format!(
                "value does not look like a valid disk size: {value}\n"
            ));
        }
        "pve-volume-id" if !value.contains(':') => {
            return Err(format!("unable to parse volume ID '{value}'\n"));
        }
        "pve-qm-ipconfig" => return keyed(value, &["gw", "gw6", "ip", "ip6"], None),
        "pve-qm-smbios1" => {
            let keys = [
                "base64",
                "family",
                "manufacturer",
                "product",
                "serial",
                "sku",
                "uuid",
                "version",
            ];
            return keyed(value, &keys, None);
        }
        "pve-qm-boot" => return keyed(value, &["legacy", "order"], Some("legacy")),
        "pve-startup-order" => return keyed(value, &["order", "up", "down"], Some("order")),
        "pve-qm-cicustom" => return keyed(value, &["meta", "network", "user", "vendor"], None),
        _ => return Ok(()),
    };
    Err(told.to_owned())
}

/// Formats that are property strings without a published list of keys.
fn keyed(value: &str, keys: &[&str], default: Option<&str>) -> Result<(), String> {
    for part in value.split(',').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some((key, _)) if keys.contains(&key) => {}
            Some((key, _)) => {
                return Err(format!(
                    "invalid key in comma-separated list property: {key}\n"
                ));
            }
            None if default.is_some() => {}
            None => {
                return Err(
                    "value without key, but schema does not define a default key\n".to_owned(),
                );
            }
        }
        if let Some(("ip", address)) = part.split_once('=')
            && keys.contains(&"gw")
        {
            check("pve-ipv4-config", address)
                .map_err(|text| format!("format error\nip: invalid format - {text}"))?;
        }
    }
    Ok(())
}

/// Returns the bytes of a size such as `8G` or `512M`; a bare number is bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let number: f64 = digits.parse().ok().filter(|number| *number >= 0.0)?;
    let factor: u64 = match text.get(digits.len()..)? {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are far below 2^53 and not negative"
    )]
    let bytes = (number * factor as f64) as u64;
    Some(bytes)
}

fn is_vmid(value: &str) -> bool {
    (3..=9).contains(&value.len())
        && !value.starts_with('0')
        && value.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(value: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= 63
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

fn is_dns_name(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_cidr4(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
    })
}

fn is_cidr6(value: &str) -> bool {
    value.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<Ipv6Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 128)
    })
}

fn is_unicast_mac(value: &str) -> bool {
    let bytes: Vec<_> = value
        .split(':')
        .map(|part| (part.len(), u8::from_str_radix(part, 16)))
        .collect();
    bytes.len() == 6
        && bytes
            .iter()
            .all(|(length, byte)| *length == 2 && byte.is_ok())
        && bytes
            .first()
            .is_some_and(|(_, byte)| byte.as_ref().is_ok_and(|byte| byte & 1 == 0))
}

fn is_tag(value: &str) -> bool {
    value
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte))
}

fn is_urlencoded(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes
            .get(at + 1..at + 3)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        b'_' | b'.' | b'~' | b'-' => true,
        byte => byte.is_ascii_alphanumeric(),
    })
}

fn is_config_id(value: &str) -> bool {
    value.len() > 1
        && value
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_storage_id(value: &str) -> bool {
    value.len() > 1
        && value
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
        && value
            .bytes()
            .last()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_pool_part(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_user_id(value: &str) -> bool {
    value.rsplit_once('@').is_some_and(|(user, realm)| {
        !user.is_empty() && !user.contains([':', '/', ' ']) && is_config_id(realm)
    })
}

fn is_sdn_id(value: &str) -> bool {
    (1..=8).contains(&value.len())
        && value
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
