//! A guest as the API shows it: its settings as they are or will be at the next boot, what is pending, and its state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::client::items;
use crate::identity::Described;
use crate::property::Properties;
use crate::values;

/// A guest that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guest {
    /// Its id.
    pub vmid: u32,
    /// Where it is now.
    pub node: String,
    /// Its settings; what is pending counts as done.
    pub settings: BTreeMap<String, String>,
    /// The settings that wait for the next boot.
    pub pending: Vec<String>,
    /// What its configuration is compared by.
    pub digest: Option<String>,
    /// `running`, `stopped`; `None` where nobody asked.
    pub status: Option<String>,
    /// What the guest agent tells of its interfaces; null where it does not answer.
    #[serde(default)]
    pub interfaces: Json,
}

impl Guest {
    /// Reads an answer of `GET …/pending`.
    pub(crate) fn of_pending(vmid: u32, node: &str, answer: &Json) -> Self {
        let mut guest = Self {
            vmid,
            node: node.to_owned(),
            ..Self::default()
        };
        for item in items(answer) {
            let Some(key) = item["key"].as_str() else {
                continue;
            };
            let value = values::text(item, "value");
            let pending = values::text(item, "pending");
            if key == "digest" {
                guest.digest = value;
                continue;
            }
            let is_deleted = values::number(item, "delete").is_some_and(|delete| delete > 0);
            if is_deleted || pending.is_some() {
                guest.pending.push(key.to_owned());
            }
            if let Some(value) = pending.or(value).filter(|_| !is_deleted) {
                guest.settings.insert(key.to_owned(), value);
            }
        }
        guest.pending.sort();
        guest
    }

    /// A setting.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    /// A setting that is a property string.
    pub(crate) fn properties(&self, key: &str) -> Option<Properties> {
        self.get(key).map(Properties::parse)
    }

    /// Its description, taken apart.
    pub(crate) fn described(&self) -> Described {
        Described::read(self.get("description"))
    }

    /// Its SMBIOS UUID.
    pub(crate) fn uuid(&self) -> Option<String> {
        let smbios = self.properties("smbios1")?;
        smbios.get("uuid").map(str::to_ascii_lowercase)
    }

    /// The lock that its configuration has.
    pub(crate) fn lock(&self) -> Option<&str> {
        self.get("lock").filter(|lock| !lock.is_empty())
    }

    /// Whether it runs.
    pub(crate) fn is_running(&self) -> bool {
        self.status.as_deref() == Some("running")
    }

    /// Whether it has the channel of the guest agent.
    pub(crate) fn has_agent(&self) -> bool {
        let agent = self.properties("agent").unwrap_or_default();
        let enabled = agent.get("enabled").or_else(|| agent.bare());
        enabled.is_some_and(values::is_true)
    }

    /// The slots of disks and drives that it has, in order, with what is in them.
    pub(crate) fn drives(&self) -> impl Iterator<Item = (&str, Properties)> {
        self.settings
            .iter()
            .filter(|(key, _)| is_slot(key))
            .map(|(key, value)| (key.as_str(), Properties::parse(value)))
    }

    /// The slots of disks, without drives for discs and for cloud-init.
    pub(crate) fn disks(&self) -> impl Iterator<Item = (&str, Properties)> {
        self.drives()
            .filter(|(_, drive)| drive.get("media") != Some("cdrom"))
    }

    /// The MAC address of each network device, by its number.
    pub(crate) fn macs(&self) -> BTreeMap<usize, String> {
        let nets = self.settings.iter().filter_map(|(key, value)| {
            let number = key.strip_prefix("net")?.parse().ok()?;
            let device = Properties::parse(value);
            let (model, mac) = device.first()?;
            let mac = device.get("macaddr").unwrap_or(mac);
            (model != mac).then(|| (number, mac.to_ascii_uppercase()))
        });
        nets.collect()
    }
}

/// Whether a key is a slot for a disk or a drive.
pub(crate) fn is_slot(key: &str) -> bool {
    ["scsi", "virtio", "sata", "ide"].iter().any(|bus| {
        let number = key.strip_prefix(bus);
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// The storage of a volume, `shr:700/vm-700-disk-0.qcow2`.
pub(crate) fn storage_of(volume: &str) -> Option<&str> {
    let (storage, rest) = volume.split_once(':')?;
    (!storage.is_empty() && !rest.is_empty()).then_some(storage)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_pending_counts_as_done_and_is_named() {
        let answer = json!([
            { "key": "memory", "value": "256", "pending": "384" },
            { "key": "cores", "value": 1, "pending": 2 },
            { "key": "scsi0", "value": "shr:700/vm-700-disk-0.qcow2,size=1G" },
            { "key": "scsi1", "value": "shr:700/vm-700-cloudinit.qcow2,media=cdrom" },
            { "key": "net1", "value": "virtio=BC:24:11:EE:79:a3,bridge=vmbr0", "delete": 1 },
            { "key": "net0", "value": "virtio=bc:24:11:ee:3a:a7,bridge=vmbr0" },
            { "key": "digest", "value": "1d9a" },
            { "key": "smbios1", "value": "uuid=B706654E-ee4d-4278-86ac-354eda3a32b2" },
            { "key": "scsihw", "value": "virtio-scsi-single" },
        ]);
        let guest = Guest::of_pending(700, "pvec1", &answer);
        assert_eq!(guest.get("memory"), Some("384"));
        assert_eq!(guest.get("cores"), Some("2"));
        assert_eq!(guest.pending, ["cores", "memory", "net1"]);
        assert_eq!(guest.digest.as_deref(), Some("1d9a"));
        assert_eq!(guest.disks().count(), 1);
        assert_eq!(guest.drives().count(), 2);
        assert_eq!(guest.macs(), [(0, "BC:24:11:EE:3A:A7".to_owned())].into());
        assert_eq!(
            guest.uuid().as_deref(),
            Some("b706654e-ee4d-4278-86ac-354eda3a32b2")
        );
    }

    #[test]
    fn slots_are_told_from_what_only_begins_like_them() {
        assert!(is_slot("scsi0") && is_slot("virtio15") && is_slot("ide2"));
        assert!(!is_slot("scsihw") && !is_slot("virtiofs0") && !is_slot("scsi"));
        assert_eq!(storage_of("shr:700/x.qcow2"), Some("shr"));
        assert_eq!(storage_of("none"), None);
    }
}
