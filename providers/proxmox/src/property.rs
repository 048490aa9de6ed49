//! Property strings, `value,key=value,key=value`: the form in which the API has disks, network devices and the like.
//!
//! They have no escaping. What is read is edited and written again, so that what dmp does not know of stays as it is.

use std::fmt;

/// A property string, taken apart. Keys keep their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties(Vec<(Option<String>, String)>);

/// A text that can't stand in a property string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotAProperty {
    /// Where it was to stand.
    pub key: String,
}

impl fmt::Display for NotAProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the value of `{}` may hold no comma, no line break and must not be empty",
            self.key
        )
    }
}

impl Properties {
    /// Takes a text apart. Empty parts are passed over, as the server does.
    pub(crate) fn parse(text: &str) -> Self {
        let parts = text.split(',').filter(|part| !part.trim().is_empty());
        let pair = |part: &str| match part.split_once('=') {
            Some((key, value)) => (Some(key.trim().to_owned()), value.trim().to_owned()),
            None => (None, part.trim().to_owned()),
        };
        Self(parts.map(pair).collect())
    }

    /// The value that stands without a key: the volume of a disk, the `1` of an agent.
    pub(crate) fn bare(&self) -> Option<&str> {
        let bare = self.0.iter().find(|(key, _)| key.is_none());
        bare.map(|(_, value)| value.as_str())
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name.as_deref() == Some(key));
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a key that is a switch; `None` where it is not set.
    pub(crate) fn switch(&self, key: &str) -> Option<bool> {
        self.get(key).map(crate::values::is_true)
    }

    /// Sets the value without a key; it stands first.
    pub(crate) fn set_bare(&mut self, value: &str) -> Result<(), NotAProperty> {
        let value = checked("value", value)?;
        match self.0.iter_mut().find(|(key, _)| key.is_none()) {
            Some((_, old)) => *old = value,
            None => self.0.insert(0, (None, value)),
        }
        Ok(())
    }

    /// Sets a key where it stands, or at the end.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), NotAProperty> {
        let value = checked(key, value)?;
        match self
            .0
            .iter_mut()
            .find(|(name, _)| name.as_deref() == Some(key))
        {
            Some((_, old)) => *old = value,
            None => self.0.push((Some(key.to_owned()), value)),
        }
        Ok(())
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name.as_deref() != Some(key));
    }

    /// The first key with its value: the model and the address of a network device.
    pub(crate) fn first(&self) -> Option<(&str, &str)> {
        let (key, value) = self.0.first()?;
        Some((key.as_deref().unwrap_or(value), value.as_str()))
    }

    /// Gives the first key another name, and keeps its value.
    pub(crate) fn rename_first(&mut self, name: &str) {
        if let Some((key, _)) = self.0.first_mut() {
            *key = Some(name.to_owned());
        }
    }
}

fn checked(key: &str, value: &str) -> Result<String, NotAProperty> {
    let value = value.trim();
    let is_bad = value.is_empty() || value.contains([',', '\n', '\r', '\0']);
    match is_bad || (key == "value" && value.contains('=')) {
        true => Err(NotAProperty {
            key: key.to_owned(),
        }),
        false => Ok(value.to_owned()),
    }
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { "," } else { "" })?;
            match key {
                Some(key) => write!(f, "{key}={value}")?,
                None => f.write_str(value)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_edit_leaves_alone_what_it_does_not_name() {
        let text = "shr:700/vm-700-disk-0.qcow2,aio=native,size=1G";
        let mut disk = Properties::parse(text);
        assert_eq!(disk.bare(), Some("shr:700/vm-700-disk-0.qcow2"));
        assert_eq!(disk.get("size"), Some("1G"));
        disk.set("discard", "on").expect("a property");
        disk.set("aio", "threads").expect("a property");
        assert_eq!(
            disk.to_string(),
            "shr:700/vm-700-disk-0.qcow2,aio=threads,size=1G,discard=on"
        );
        disk.remove("discard");
        disk.set("aio", "native").expect("a property");
        assert_eq!(disk.to_string(), text);
    }

    #[test]
    fn a_network_device_begins_with_its_model() {
        let mut net = Properties::parse("virtio=BC:24:11:EE:3A:A7,bridge=vmbr0,firewall=1");
        assert_eq!(net.first(), Some(("virtio", "BC:24:11:EE:3A:A7")));
        assert_eq!(net.switch("firewall"), Some(true));
        net.rename_first("e1000");
        assert_eq!(
            net.to_string(),
            "e1000=BC:24:11:EE:3A:A7,bridge=vmbr0,firewall=1"
        );
        assert_eq!(
            Properties::parse("virtio,bridge=vmbr0").first(),
            Some(("virtio", "virtio"))
        );
    }

    #[test]
    fn what_would_break_out_of_its_place_is_refused() {
        let mut net = Properties::parse("virtio,bridge=vmbr0");
        assert!(net.set("bridge", "vmbr0,firewall=0").is_err());
        assert!(net.set("bridge", "a\nb").is_err());
        assert!(net.set("bridge", " ").is_err());
        assert!(net.set_bare("a=b").is_err());
        assert_eq!(net.to_string(), "virtio,bridge=vmbr0");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_it_was(text in "([a-z0-9:/_.-]{1,8}(=[A-Za-z0-9:;/=_.-]{1,9})?,?){0,6}") {
            let once = Properties::parse(&text);
            prop_assert_eq!(Properties::parse(&once.to_string()), once);
        }

        #[test]
        fn a_value_that_was_set_is_read_again(
            text in "([a-z]{1,4}=[a-z0-9]{1,4},){0,4}",
            key in "[a-z]{1,4}",
            value in "[^,\r\n\0]{1,12}",
        ) {
            let mut properties = Properties::parse(&text);
            if properties.set(&key, &value).is_ok() {
                let again = Properties::parse(&properties.to_string());
                prop_assert_eq!(again.get(&key), Some(value.trim()));
            }
        }
    }
}
