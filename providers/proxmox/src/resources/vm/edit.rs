//! Editing what a slot or a network device has: what nobody names stays as it is.

use super::wanted::{Device, Disk};
use crate::property::{NotAProperty, Properties};
use crate::values;

/// Whether a drive is Proxmox' own for cloud-init.
pub(super) fn is_cloud_init(drive: &Properties) -> bool {
    let volume = drive.bare().unwrap_or_default();
    volume.ends_with(":cloudinit") || volume.contains("-cloudinit")
}

/// A disk with the options that are wanted, and without those that were and are not any more.
pub(super) fn edit_disk(
    found: Properties,
    disk: &Disk,
    before: Option<&Disk>,
) -> Result<Properties, NotAProperty> {
    let mut edited = found;
    for (key, value) in &disk.options {
        let is_so = match edited.get(key) {
            Some(has) => has == value || (values::is_true(has) && values::is_true(value)),
            // Backup and replication are on where nothing is said, all else is off.
            None => match *key {
                "backup" | "replicate" => value == "1",
                _ => value == "0" || value == "ignore",
            },
        };
        if !is_so {
            edited.set(key, value)?;
        }
    }
    for (key, _) in before.into_iter().flat_map(|before| &before.options) {
        if !disk.options.iter().any(|(name, _)| name == key) {
            edited.remove(key);
        }
    }
    Ok(edited)
}

/// The same of a network device; an empty one is made.
pub(super) fn edit_device(
    found: Properties,
    device: &Device,
    before: Option<&Device>,
) -> Result<String, NotAProperty> {
    let mut edited = found;
    if edited.first().is_none() {
        let model = device.model.as_deref().unwrap_or("virtio");
        match &device.mac {
            Some(mac) => edited.set(model, mac)?,
            None => edited.set_bare(model)?,
        }
    } else {
        if let Some(model) = &device.model
            && edited.first().is_some_and(|(has, _)| has != model)
        {
            edited.rename_first(model);
        }
        if let Some(mac) = &device.mac {
            let first = edited
                .first()
                .map(|(model, has)| (model.to_owned(), has.to_owned()));
            if let Some((model, has)) = first
                && !has.eq_ignore_ascii_case(mac)
            {
                edited.set(&model, mac)?;
            }
        }
    }
    if let Some(bridge) = &device.bridge
        && edited.get("bridge") != Some(bridge)
    {
        edited.set("bridge", bridge)?;
    }
    for (key, value) in &device.options {
        let is_off = value == "0" && edited.get(key).is_none();
        if !is_off && edited.get(key) != Some(value) {
            edited.set(key, value)?;
        }
    }
    for (key, _) in before.into_iter().flat_map(|before| &before.options) {
        if !device.options.iter().any(|(name, _)| name == key) {
            edited.remove(key);
        }
    }
    Ok(edited.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_keeps_its_address_and_what_nobody_named() {
        let found = Properties::parse("virtio=BC:24:11:EE:3A:A7,bridge=vmbr0,tag=5,rate=3");
        let wanted = Device {
            bridge: Some("vmbr1".into()),
            options: vec![("firewall", "1".into()), ("mtu", "1400".into())],
            ..Device::default()
        };
        let before = Device {
            options: vec![("tag", "5".into())],
            ..Device::default()
        };
        assert_eq!(
            edit_device(found, &wanted, Some(&before)).as_deref(),
            Ok("virtio=BC:24:11:EE:3A:A7,bridge=vmbr1,rate=3,firewall=1,mtu=1400")
        );
        let new = edit_device(Properties::default(), &wanted, None);
        assert_eq!(
            new.as_deref(),
            Ok("virtio,bridge=vmbr1,firewall=1,mtu=1400")
        );
    }

    #[test]
    fn a_disk_is_edited_and_never_built_anew() {
        let text = "shr:700/vm-700-disk-0.qcow2,aio=native,discard=on,size=8G";
        let found = Properties::parse(text);
        let same = Disk {
            options: vec![
                ("discard", "on".into()),
                ("backup", "1".into()),
                ("ssd", "0".into()),
            ],
            ..Disk::default()
        };
        assert_eq!(edit_disk(found.clone(), &same, None), Ok(found.clone()));
        let other = Disk {
            options: vec![("backup", "0".into())],
            ..Disk::default()
        };
        let edited = edit_disk(found, &other, Some(&same)).expect("a disk");
        assert_eq!(
            edited.to_string(),
            "shr:700/vm-700-disk-0.qcow2,aio=native,size=8G,backup=0"
        );
    }
}
