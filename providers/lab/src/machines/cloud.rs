//! What a machine is told at its first boot: by the API's own settings, or by a NoCloud seed image in a drive.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_cloud::iso::File;
use serde_yaml_ng::Value;

use super::interfaces::NetworkData;
use super::iso::Image;
use super::root::{Person, WrittenFile};
use crate::proxmox;
use crate::world::guest::{Guest, Settings};

/// What a machine is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub hostname: Option<String>,
    pub fqdn: Option<String>,
    pub instance: String,
    pub addresses: Vec<(Ipv4Addr, u8)>,
    pub network: NetworkData,
    pub people: Vec<Person>,
    pub host_keys: BTreeMap<String, String>,
    pub files: Vec<WrittenFile>,
    pub commands: Vec<String>,
    pub ignored: Vec<String>,
    /// All of it, by the names of the files that cloud-init reads.
    pub seed: BTreeMap<String, String>,
}

/// The user of an image that names none.
const USUAL: &str = "debian";

/// Returns what a guest's settings tell, as the image that the API makes of them does.
pub(super) fn of_settings(config: &Settings) -> Told {
    let mut told = of_user_data(&proxmox::user_data(config), None);
    told.instance = crate::hash::sha1(&proxmox::meta_data(config));
    told.addresses = addresses_of(config);
    told.network = of_network_settings(config);
    let texts = texts_of(config);
    told.seed = texts.map(|(name, text)| (name.to_owned(), text)).into();
    told
}

/// Returns what a guest's settings tell, by the names of the files that cloud-init reads.
fn texts_of(config: &Settings) -> [(&'static str, String); 3] {
    [
        ("meta-data", proxmox::meta_data(config)),
        ("network-config", proxmox::network_data(config)),
        ("user-data", proxmox::user_data(config)),
    ]
}

/// Returns the image in a guest's cloud-init drive: of what its cloud tells it, or else of its settings, as the API makes it.
pub(super) fn seed_image(guest: &Guest) -> Vec<u8> {
    let texts = match &guest.seed {
        Some(seed) => with_network(seed, &guest.config),
        None => {
            let texts = texts_of(guest.image.as_ref().unwrap_or(&guest.config)).into_iter();
            texts.map(|(name, text)| (name.to_owned(), text)).collect()
        }
    };
    let files = texts.iter().map(|(name, text)| File {
        name,
        bytes: text.clone().into_bytes(),
    });
    dmp_cloud::iso::image("cidata", &files.collect::<Vec<_>>())
}

/// Returns what a guest's cloud tells it, with its addresses: no DHCP server is in the networks of whole systems.
pub(super) fn with_network(seed: &Settings, config: &Settings) -> Settings {
    let mut files = seed.clone();
    let network = proxmox::own_network_data(config);
    files.entry("network-config".to_owned()).or_insert(network);
    files
}

/// Returns what a guest's settings say of its network, without the name servers that a node would fill in.
pub(super) fn of_network_settings(config: &Settings) -> NetworkData {
    let mut network = NetworkData::read(&proxmox::network_data(config));
    if !config.contains_key("nameserver") {
        network.nameservers.clear();
    }
    network
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

/// Returns what a seed tells.
pub(super) fn of_seed(seed: &Image, config: &Settings) -> Told {
    let file = |(name, content): (&String, &Vec<u8>)| {
        (name.clone(), String::from_utf8_lossy(content).into_owned())
    };
    of_files(&seed.files.iter().map(file).collect(), config)
}

/// Returns what files tell that have the names that cloud-init gives them; what they leave out about the network comes from the
/// settings.
pub(super) fn of_files(files: &Settings, config: &Settings) -> Told {
    let text = |name: &str| files.get(name).cloned().unwrap_or_default();
    let meta: Value = serde_yaml_ng::from_str(&text("meta-data")).unwrap_or(Value::Null);
    let mut told = of_user_data(&text("user-data"), meta.get("public-keys"));
    let word = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_owned);
    told.instance = word("instance-id").unwrap_or_else(|| crate::hash::sha1(&text("user-data")));
    told.hostname = told
        .hostname
        .or(word("local-hostname"))
        .or_else(|| config.get("name").cloned());
    told.network = NetworkData::read(&text("network-config"));
    if told.network.addresses().is_empty() && !told.network.is_dynamic {
        told.network = of_network_settings(config);
    }
    told.addresses = told.network.addresses();
    told.seed.clone_from(files);
    told
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_sequence).into_iter().flatten()
}

/// Reads user data: one `#cloud-config`, or several as parts of one text, put together as cloud-init is asked to by their
/// `Merge-Type`: lists are joined, and what an earlier part says stays. Keys of the meta data are the usual user's.
fn of_user_data(text: &str, keys: Option<&Value>) -> Told {
    let mut told = Told::default();
    let (mut whole, mut is_told) = (Value::Null, false);
    for part in parts_of(text) {
        if !part.starts_with("#cloud-config") {
            if !part.trim().is_empty() {
                told.ignored
                    .push("user data that is no #cloud-config".into());
            }
            continue;
        }
        match serde_yaml_ng::from_str(part) {
            Ok(data) => {
                whole = joined(whole, data);
                is_told = true;
            }
            Err(error) => told.ignored.push(format!("user data: {error}")),
        }
    }
    let has_usual = match whole.get("users") {
        None => true,
        users => list(users).any(|user| user.as_str() == Some("default")),
    };
    let keys =
        keys.filter(|keys| has_usual && keys.as_sequence().is_some_and(|keys| !keys.is_empty()));
    if let Some(keys) = keys {
        let name = Value::from("ssh_authorized_keys");
        let more = Value::Mapping(serde_yaml_ng::Mapping::from_iter([(name, keys.clone())]));
        whole = joined(whole, more);
        is_told = true;
    }
    if is_told {
        add_data(&mut told, &whole);
    }
    told
}

/// Returns the parts of user data, without their headers.
fn parts_of(text: &str) -> Vec<&str> {
    let boundary = text
        .starts_with("Content-Type: multipart/")
        .then(|| text.split_once("boundary=\"")?.1.split('"').next())
        .flatten();
    let Some(boundary) = boundary else {
        return vec![text];
    };
    let between = text
        .split("\n--")
        .filter_map(|part| part.strip_prefix(boundary));
    between
        .filter_map(|part| Some(part.split_once("\n\n")?.1))
        .collect()
}

fn joined(first: Value, second: Value) -> Value {
    match (first, second) {
        (Value::Null, second) => second,
        (Value::Sequence(mut first), Value::Sequence(second)) => {
            first.extend(second);
            Value::Sequence(first)
        }
        (Value::Mapping(mut first), Value::Mapping(second)) => {
            for (key, value) in second {
                let both = match first.remove(&key) {
                    Some(known) => joined(known, value),
                    None => value,
                };
                first.insert(key, both);
            }
            Value::Mapping(first)
        }
        (first, _) => first,
    }
}

fn add_data(told: &mut Told, data: &Value) {
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
    fn parts_of_user_data_are_put_together() {
        let told = of_user_data(
            "Content-Type: multipart/mixed; boundary=\"B\"\nMIME-Version: 1.0\n\n--B\nContent-Type: text/cloud-config\n\n\
             #cloud-config\nhostname: web\nusers: [{name: ops}]\nruncmd: [one]\n\n--B\nContent-Type: text/cloud-config\n\n\
             #cloud-config\nhostname: other\nruncmd: [two]\n\n--B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n\n--B--\n",
            None,
        );
        let people: Vec<_> = told.people.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(
            (told.hostname.as_deref(), people),
            (Some("web"), vec!["ops"])
        );
        assert_eq!(told.commands, ["one", "two"]);
        assert_eq!(told.ignored, ["user data that is no #cloud-config"]);
    }

    #[test]
    fn a_key_of_the_meta_data_is_the_usual_users() {
        let keys = serde_yaml_ng::from_str("[k1]").expect("a list");
        let people = |text: &str| {
            let told = of_user_data(text, Some(&keys));
            let people = told.people.into_iter();
            people
                .map(|person| (person.name, person.keys.join(",")))
                .collect::<Vec<_>>()
        };
        let usual = |keys: &str| ("debian".to_owned(), keys.to_owned());
        assert_eq!(people(""), [usual("k1")]);
        assert_eq!(people("#!/bin/sh\n"), [usual("k1")]);
        assert_eq!(
            people("#cloud-config\nssh_authorized_keys: [k0]\n"),
            [usual("k0,k1")]
        );
        assert_eq!(
            people("#cloud-config\nusers: [{name: eve}]\n"),
            [("eve".to_owned(), String::new())]
        );
    }

    #[test]
    fn user_data_gives_people_keys_files_and_commands() {
        let told = of_user_data(
            "#cloud-config\nfqdn: a.lab\nssh_authorized_keys: [k0]\nusers:\n  - default\n  - name: eve\n    sudo: ALL\n    ssh_authorized_keys: [k1]\n\
             ssh_keys:\n  ed25519_private: |\n    KEY\n  ed25519_public: PUB\nwrite_files:\n  - path: /etc/a\n    encoding: b64\n    content: aGk=\n    permissions: '0600'\n\
             runcmd:\n  - echo a\n  - [touch, \"it's\"]\npackages: [vim]\n",
            None,
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
}
