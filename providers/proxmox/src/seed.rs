//! What a machine is told at its first boot, as cloud-init's NoCloud source reads it from an image labelled `cidata`: name,
//! user, keys, network, and the host key that dmp has made for it, which the API's own fields can't carry.

use std::collections::BTreeMap;

use dmp_cloud::iso::{self, File};
use dmp_cloud::{FirstBoot, lines, parts};
use serde_json::{Value as Json, json};

/// What goes into a seed image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seed {
    /// The instance's id: a new one makes cloud-init begin anew.
    pub instance: String,
    /// Name, user and keys.
    pub told: FirstBoot,
    /// More cloud-config, in the person's own words.
    pub more: Option<String>,
    /// Addresses of each network device, in order.
    pub networks: Vec<Network>,
    /// Name servers.
    pub nameservers: Vec<String>,
    /// Domains that names are looked up in.
    pub domains: Vec<String>,
}

/// The addresses of one network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Network {
    /// Its MAC address.
    pub mac: Option<String>,
    /// `dhcp`, or an address with its prefix.
    pub ipv4: Option<String>,
    /// The way out.
    pub gateway4: Option<String>,
    /// `auto`, `dhcp`, or an address with its prefix.
    pub ipv6: Option<String>,
    /// The way out.
    pub gateway6: Option<String>,
}

impl Network {
    /// As the API has it, `ip=…,gw=…`; `None` where nothing is said.
    pub(crate) fn property(&self) -> Option<String> {
        let parts = [
            ("ip", &self.ipv4),
            ("gw", &self.gateway4),
            ("ip6", &self.ipv6),
            ("gw6", &self.gateway6),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)))
            .collect();
        (!parts.is_empty()).then(|| parts.join(","))
    }

    fn subnets(&self) -> Vec<Json> {
        let with_gateway = |mut subnet: Json, gateway: &Option<String>| {
            if let Some(gateway) = gateway {
                subnet["gateway"] = json!(gateway);
            }
            subnet
        };
        let mut subnets = Vec::new();
        match self.ipv4.as_deref() {
            Some("dhcp") => subnets.push(json!({ "type": "dhcp4" })),
            Some(address) => subnets.push(with_gateway(
                json!({ "type": "static", "address": address }),
                &self.gateway4,
            )),
            None => {}
        }
        match self.ipv6.as_deref() {
            Some("dhcp") => subnets.push(json!({ "type": "dhcp6" })),
            Some("auto") => subnets.push(json!({ "type": "ipv6_slaac" })),
            Some(address) => subnets.push(with_gateway(
                json!({ "type": "static6", "address": address }),
                &self.gateway6,
            )),
            None => {}
        }
        subnets
    }
}

impl Seed {
    /// The image.
    pub(crate) fn image(&self) -> Vec<u8> {
        let files = [
            ("meta-data", self.meta_data()),
            ("network-config", self.network_config()),
            ("user-data", self.user_data()),
        ];
        let files: Vec<File<'_>> = files
            .into_iter()
            .map(|(name, text)| File {
                name,
                bytes: text.into_bytes(),
            })
            .collect();
        iso::image("cidata", &files)
    }

    fn meta_data(&self) -> String {
        let members = BTreeMap::from([
            ("instance-id", json!(self.instance)),
            ("local-hostname", json!(self.told.name)),
        ]);
        lines(members)
    }

    /// Version 1, which every release of cloud-init renders for every distribution.
    fn network_config(&self) -> String {
        let mut config: Vec<Json> = Vec::new();
        for (index, network) in self.networks.iter().enumerate() {
            let mut device = json!({
                "type": "physical", "name": format!("eth{index}"), "subnets": network.subnets(),
            });
            if let Some(mac) = &network.mac {
                device["mac_address"] = json!(mac.to_ascii_lowercase());
            }
            config.push(device);
        }
        if !self.nameservers.is_empty() || !self.domains.is_empty() {
            config.push(json!({
                "type": "nameserver", "address": self.nameservers, "search": self.domains,
            }));
        }
        lines(BTreeMap::from([
            ("version", json!(1)),
            ("config", json!(config)),
        ]))
    }

    fn user_data(&self) -> String {
        let own = self.told.cloud_config();
        match &self.more {
            None => own,
            // Two parts, which cloud-init puts together.
            Some(more) => parts(
                BOUNDARY,
                &[("text/cloud-config", &own), ("text/cloud-config", more)],
            ),
        }
    }
}

const BOUNDARY: &str = "dmp-part-3f9d2c";

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> Seed {
        Seed {
            instance: "i-1".into(),
            told: FirstBoot {
                name: "web".into(),
                user: "debian".into(),
                keys: vec!["ssh-ed25519 AAAA me".into()],
                host_key: Some(("PRIVATE\nKEY\n".into(), "ssh-ed25519 BBBB".into())),
                upgrade: false,
            },
            networks: vec![Network {
                mac: Some("BC:24:11:00:00:01".into()),
                ipv4: Some("192.0.2.7/24".into()),
                gateway4: Some("192.0.2.1".into()),
                ..Network::default()
            }],
            nameservers: vec!["192.0.2.53".into()],
            ..Seed::default()
        }
    }

    #[test]
    fn each_line_is_a_name_and_json() {
        let text = seed().user_data();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#cloud-config"));
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a name");
            assert!(!name.contains(' '));
            serde_json::from_str::<Json>(value).expect("JSON");
        }
        assert!(text.contains("\"ed25519_private\":\"PRIVATE\\nKEY\\n\""));
        assert!(text.contains("ssh_pwauth: false"));
    }

    #[test]
    fn the_network_has_the_devices_address_and_its_way_out() {
        let text = seed().network_config();
        assert!(
            text.contains("\"mac_address\":\"bc:24:11:00:00:01\""),
            "{text}"
        );
        assert!(text.contains("\"address\":\"192.0.2.7/24\""), "{text}");
        assert!(text.contains("\"gateway\":\"192.0.2.1\""), "{text}");
        let property = seed().networks[0].property();
        assert_eq!(property.as_deref(), Some("ip=192.0.2.7/24,gw=192.0.2.1"));
    }

    #[test]
    fn more_configuration_is_a_part_of_its_own() {
        let mut seed = seed();
        seed.more = Some("#cloud-config\npackages: [jq]".into());
        let text = seed.user_data();
        assert_eq!(text.matches("Content-Type: text/cloud-config").count(), 2);
        assert!(text.trim_end().ends_with(&format!("--{BOUNDARY}--")));
    }
}
