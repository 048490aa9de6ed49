//! What a machine is told at its first boot: by the API's own settings, or by a NoCloud seed image in a drive.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_yaml_ng::Value;

use super::iso::Image;
use super::root::{Person, WrittenFile};
use crate::calls;
use crate::world::guest::Settings;

/// What a machine is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub hostname: Option<String>,
    pub fqdn: Option<String>,
    pub instance: String,
    pub addresses: Vec<(Ipv4Addr, u8)>,
    pub people: Vec<Person>,
    pub host_keys: BTreeMap<String, String>,
    pub files: Vec<WrittenFile>,
    pub commands: Vec<String>,
    pub ignored: Vec<String>,
}

/// The user of an image that names none.
const USUAL: &str = "debian";

/// Returns what a guest's settings tell, as the image that the API makes of them does.
pub(super) fn of_settings(config: &Settings) -> Told {
    let mut told = of_user_data(&calls::user_data(config));
    told.instance = crate::hash::sha1(&calls::meta_data(config));
    told.addresses = addresses_of(config);
    told
}

/// Returns the addresses that a guest's settings give.
pub(crate) fn addresses_of(config: &Settings) -> Vec<(Ipv4Addr, u8)> {
    let wanted = config.iter().filter(|(key, _)| key.starts_with("ipconfig"));
    let parts = wanted.flat_map(|(_, text)| text.split(','));
    parts
        .filter_map(|part| cidr(part.strip_prefix("ip=")?))
        .collect()
}

fn cidr(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, bits) = text.split_once('/')?;
    Some((address.parse().ok()?, bits.parse().ok()?))
}

/// Returns what a seed tells; what it leaves out about the network comes from the settings.
pub(super) fn of_seed(seed: &Image, config: &Settings) -> Told {
    let text = |name: &str| {
        String::from_utf8_lossy(seed.files.get(name).map_or(&[][..], Vec::as_slice)).into_owned()
    };
    let mut told = of_user_data(&text("user-data"));
    let meta: Value = serde_yaml_ng::from_str(&text("meta-data")).unwrap_or(Value::Null);
    let word = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_owned);
    told.instance = word("instance-id").unwrap_or_else(|| crate::hash::sha1(&text("user-data")));
    told.hostname = told
        .hostname
        .or(word("local-hostname"))
        .or_else(|| config.get("name").cloned());
    told.addresses = of_network(&text("network-config"));
    if told.addresses.is_empty() {
        told.addresses = addresses_of(config);
    }
    told
}

fn of_network(text: &str) -> Vec<(Ipv4Addr, u8)> {
    let network: Value = serde_yaml_ng::from_str(text).unwrap_or(Value::Null);
    let network = network.get("network").unwrap_or(&network);
    let mut found = Vec::new();
    for device in list(network.get("config")) {
        for subnet in list(device.get("subnets")) {
            let address = subnet
                .get("address")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let mask = subnet
                .get("netmask")
                .and_then(Value::as_str)
                .and_then(|mask| mask.parse::<Ipv4Addr>().ok());
            let bits = mask.map_or(24, |mask| {
                u8::try_from(u32::from(mask).count_ones()).unwrap_or(24)
            });
            found.extend(cidr(address).or_else(|| Some((address.parse().ok()?, bits))));
        }
    }
    let devices = network.get("ethernets").and_then(Value::as_mapping);
    for device in devices.into_iter().flat_map(|devices| devices.values()) {
        found.extend(list(device.get("addresses")).filter_map(|address| cidr(address.as_str()?)));
    }
    found
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_sequence).into_iter().flatten()
}

/// Reads user data of the form `#cloud-config`.
fn of_user_data(text: &str) -> Told {
    let mut told = Told::default();
    if !text.starts_with("#cloud-config") {
        if !text.trim().is_empty() {
            told.ignored
                .push("user data that is no #cloud-config".into());
        }
        return told;
    }
    let data: Value = match serde_yaml_ng::from_str(text) {
        Ok(data) => data,
        Err(error) => {
            told.ignored.push(format!("user data: {error}"));
            return told;
        }
    };
    let word = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    told.hostname = word(data.get("hostname"));
    told.fqdn = word(data.get("fqdn"));
    let keys = |value: Option<&Value>| {
        list(value)
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let common = keys(data.get("ssh_authorized_keys"));
    let usual = data
        .get("user")
        .and_then(|user| user.as_str().or_else(|| user.get("name")?.as_str()))
        .unwrap_or(USUAL);
    let mut has_usual = data.get("users").is_none();
    for user in list(data.get("users")) {
        if user.as_str() == Some("default") {
            has_usual = true;
            continue;
        }
        let Some(name) = user.as_str().or_else(|| user.get("name")?.as_str()) else {
            continue;
        };
        let sudo = user.get("sudo");
        told.people.push(Person {
            name: name.to_owned(),
            keys: keys(user.get("ssh_authorized_keys")),
            shell: word(user.get("shell")),
            may_sudo: sudo.is_some_and(|sudo| sudo.as_bool() != Some(false) && !sudo.is_null()),
        });
    }
    if has_usual {
        told.people.push(Person {
            name: usual.to_owned(),
            keys: common,
            shell: None,
            may_sudo: usual != "root",
        });
    } else if let Some(first) = told.people.first_mut() {
        first.keys.extend(common);
    }
    for (key, value) in data
        .get("ssh_keys")
        .and_then(Value::as_mapping)
        .into_iter()
        .flatten()
    {
        let (Some(key), Some(value)) = (key.as_str(), value.as_str()) else {
            continue;
        };
        let value = format!("{}\n", value.trim_end());
        if let Some(kind) = key.strip_suffix("_private") {
            told.host_keys.insert(format!("ssh_host_{kind}_key"), value);
        } else if let Some(kind) = key.strip_suffix("_public") {
            told.host_keys
                .insert(format!("ssh_host_{kind}_key.pub"), value);
        }
    }
    for file in list(data.get("write_files")) {
        told.files.extend(written(file));
    }
    for command in list(data.get("bootcmd")).chain(list(data.get("runcmd"))) {
        told.commands.extend(command_of(command));
    }
    const CARRIED_OUT: [&str; 14] = [
        "hostname",
        "fqdn",
        "manage_etc_hosts",
        "user",
        "users",
        "ssh_authorized_keys",
        "ssh_keys",
        "write_files",
        "bootcmd",
        "runcmd",
        "ssh_deletekeys",
        "preserve_hostname",
        "chpasswd",
        "ssh_genkeytypes",
    ];
    let names = data
        .as_mapping()
        .into_iter()
        .flat_map(|data| data.keys())
        .filter_map(Value::as_str);
    told.ignored.extend(
        names
            .filter(|name| !CARRIED_OUT.contains(name))
            .map(str::to_owned),
    );
    told
}

fn written(file: &Value) -> Option<WrittenFile> {
    let path = file
        .get("path")?
        .as_str()
        .filter(|path| path.starts_with('/'))?;
    let content = file
        .get("content")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let encoding = file
        .get("encoding")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let content = match encoding {
        "b64" | "base64" => STANDARD
            .decode(content.split_whitespace().collect::<String>())
            .ok()?,
        _ => content.as_bytes().to_vec(),
    };
    let mode = file
        .get("permissions")
        .and_then(Value::as_str)
        .and_then(|mode| u32::from_str_radix(mode, 8).ok());
    Some(WrittenFile {
        path: path.to_owned(),
        content,
        mode: mode.unwrap_or(0o644),
    })
}

/// A command is a line for a shell, or words.
fn command_of(command: &Value) -> Option<String> {
    if let Some(line) = command.as_str() {
        return Some(line.to_owned());
    }
    let words = command.as_sequence()?.iter().filter_map(Value::as_str);
    let quoted = words.map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    Some(quoted.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_gives_people_keys_files_and_commands() {
        let told = of_user_data(
            "#cloud-config\nfqdn: a.lab\nssh_authorized_keys: [k0]\nusers:\n  - default\n  - name: eve\n    sudo: ALL\n    ssh_authorized_keys: [k1]\n\
             ssh_keys:\n  ed25519_private: |\n    KEY\n  ed25519_public: PUB\nwrite_files:\n  - path: /etc/a\n    encoding: b64\n    content: aGk=\n    permissions: '0600'\n\
             runcmd:\n  - echo a\n  - [touch, \"it's\"]\npackages: [vim]\n",
        );
        let people: Vec<_> = told
            .people
            .iter()
            .map(|person| (person.name.as_str(), person.keys.join(","), person.may_sudo))
            .collect();
        assert_eq!(
            people,
            [
                ("eve", "k1".to_owned(), true),
                ("debian", "k0".to_owned(), true)
            ]
        );
        assert_eq!(told.host_keys["ssh_host_ed25519_key"], "KEY\n");
        assert_eq!(
            (told.files[0].content.as_slice(), told.files[0].mode),
            (&b"hi"[..], 0o600)
        );
        assert_eq!(told.commands, ["echo a", "'touch' 'it'\\''s'"]);
        assert_eq!(told.ignored, ["packages"]);
    }

    #[test]
    fn addresses_come_from_both_forms_of_network_configuration() {
        let one = "version: 1\nconfig:\n  - type: physical\n    subnets:\n      - type: static\n        address: 127.20.0.5\n        netmask: 255.255.0.0\n";
        let two =
            "network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses: [127.20.0.6/24]\n";
        assert_eq!(of_network(one), [(Ipv4Addr::new(127, 20, 0, 5), 16)]);
        assert_eq!(of_network(two), [(Ipv4Addr::new(127, 20, 0, 6), 24)]);
    }
}
