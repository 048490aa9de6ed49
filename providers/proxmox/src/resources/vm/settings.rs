//! The settings of a machine that are one value each: how an attribute is read from the configuration, and written there.

use dmp_sdk::Value;

use crate::guest::Guest;
use crate::property::Properties;
use crate::values;

/// One setting.
pub(crate) struct Setting {
    /// The attribute.
    pub attribute: &'static str,
    /// The key in the configuration.
    pub key: &'static str,
    /// How it is written there.
    form: Form,
    /// What it is where the configuration has nothing.
    default: Option<&'static str>,
    /// Whether a machine that runs takes it only at its next boot.
    pub needs_reboot: bool,
}

#[derive(Clone, Copy)]
enum Form {
    Number,
    Switch,
    Text,
    /// The first value of a property string, whose key may stand before it.
    First(&'static str),
    /// The same, a number.
    FirstNumber(&'static str),
    /// The same, a switch.
    FirstSwitch(&'static str),
}

const fn setting(
    attribute: &'static str,
    key: &'static str,
    form: Form,
    default: Option<&'static str>,
    needs_reboot: bool,
) -> Setting {
    Setting {
        attribute,
        key,
        form,
        default,
        needs_reboot,
    }
}

/// All of them.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("cores", "cores", Form::Number, Some("1"), true),
    setting("sockets", "sockets", Form::Number, Some("1"), true),
    setting("cpu_type", "cpu", Form::First("cputype"), None, true),
    setting("numa", "numa", Form::Switch, Some("0"), true),
    setting(
        "memory_mib",
        "memory",
        Form::FirstNumber("current"),
        Some("512"),
        true,
    ),
    setting("balloon_mib", "balloon", Form::Number, None, false),
    setting("machine", "machine", Form::First("type"), None, true),
    setting("bios", "bios", Form::Text, Some("seabios"), true),
    setting("os_type", "ostype", Form::Text, None, true),
    setting("scsi_hardware", "scsihw", Form::Text, Some("lsi"), true),
    setting("vga", "vga", Form::First("type"), None, true),
    setting(
        "agent",
        "agent",
        Form::FirstSwitch("enabled"),
        Some("0"),
        true,
    ),
    setting("start_at_boot", "onboot", Form::Switch, Some("0"), false),
    setting("hotplug", "hotplug", Form::Text, None, false),
    setting("protection", "protection", Form::Switch, Some("0"), false),
];

impl Setting {
    /// The attribute's value in a guest.
    pub(crate) fn read(&self, guest: &Guest) -> Value {
        let text = guest.get(self.key).map(|text| self.inside(text));
        let text = text.or_else(|| self.default.map(ToOwned::to_owned));
        let Some(text) = text else {
            return Value::null();
        };
        match self.form {
            Form::Number | Form::FirstNumber(_) => text
                .parse::<i64>()
                .map_or_else(|_| Value::null(), Value::from),
            Form::Switch | Form::FirstSwitch(_) => values::is_true(&text).into(),
            Form::Text | Form::First(_) => text.into(),
        }
    }

    fn inside(&self, text: &str) -> String {
        match self.form {
            Form::First(key) | Form::FirstNumber(key) | Form::FirstSwitch(key) => {
                let properties = Properties::parse(text);
                let found = properties.get(key).or_else(|| properties.bare());
                found.unwrap_or_default().to_owned()
            }
            _ => text.to_owned(),
        }
    }

    /// What is to be written for the attribute; `None` where the guest has it so.
    pub(crate) fn write(&self, guest: &Guest, wanted: &Value) -> Option<String> {
        let value = wanted.get(self.attribute);
        if value.is_null() || !value.is_known() || self.read(guest) == value.deep_unmarked() {
            return None;
        }
        let text = match value.as_bool() {
            Some(flag) => values::switch(flag).to_owned(),
            None => match value.as_number() {
                Some(number) => number.to_string(),
                None => value.as_str()?.to_owned(),
            },
        };
        let (Form::First(key) | Form::FirstNumber(key) | Form::FirstSwitch(key)) = self.form else {
            return Some(text);
        };
        // What stands behind it stays.
        let mut properties = guest.properties(self.key).unwrap_or_default();
        properties.remove(key);
        match properties.set_bare(&text) {
            Ok(()) => Some(properties.to_string()),
            Err(_) => Some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(pairs: &[(&str, &str)]) -> Guest {
        let settings = pairs.iter();
        let settings = settings.map(|&(key, value)| (key.to_owned(), value.to_owned()));
        Guest {
            settings: settings.collect(),
            ..Guest::default()
        }
    }

    fn of(attribute: &str) -> &'static Setting {
        let found = SETTINGS
            .iter()
            .find(|setting| setting.attribute == attribute);
        found.expect("a setting")
    }

    #[test]
    fn numbers_and_switches_are_read_as_such_and_defaults_stand_in() {
        let guest = guest(&[
            ("memory", "256"),
            ("agent", "enabled=1,fstrim_cloned_disks=1"),
            ("cpu", "host,flags=+aes"),
        ]);
        assert_eq!(of("memory_mib").read(&guest), 256.into());
        assert_eq!(of("agent").read(&guest), true.into());
        assert_eq!(of("cores").read(&guest), 1.into());
        assert_eq!(of("cpu_type").read(&guest), "host".into());
        assert_eq!(of("balloon_mib").read(&guest), Value::null());
    }

    #[test]
    fn only_what_differs_is_written_and_what_stands_behind_it_stays() {
        let guest = guest(&[
            ("cpu", "host,flags=+aes"),
            ("memory", "current=512"),
            ("agent", "1"),
        ]);
        let wanted = Value::object_of([
            ("cpu_type", "x86-64-v2-AES".into()),
            ("memory_mib", 512.into()),
            ("agent", false.into()),
            ("cores", 1.into()),
            ("vga", Value::null()),
        ]);
        assert_eq!(
            of("cpu_type").write(&guest, &wanted).as_deref(),
            Some("x86-64-v2-AES,flags=+aes")
        );
        assert_eq!(of("memory_mib").write(&guest, &wanted), None);
        assert_eq!(of("agent").write(&guest, &wanted).as_deref(), Some("0"));
        assert_eq!(of("cores").write(&guest, &wanted), None);
        assert_eq!(of("vga").write(&guest, &wanted), None);
    }
}
