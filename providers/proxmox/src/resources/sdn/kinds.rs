//! The three kinds of objects: where they are listed, what they are told by, and their settings.

use dmp_sdk::{Attribute, AttributePath, Diagnostic, Layer, MarkWay, Schema, Type, Value};

use crate::resources::vm::wanted::text;
use crate::values;

/// A kind of object.
pub(super) struct Kind {
    /// The resource type.
    resource_type: &'static str,
    /// What it is, in words.
    pub noun: &'static str,
    doc: &'static str,
    /// The attributes that are its key.
    pub key: &'static [&'static str],
    /// The one of them that is its name among its like.
    pub name: &'static str,
    name_doc: &'static str,
    /// What the name is called when it is sent.
    pub sent: &'static str,
    /// What the name is called in a listing.
    pub shown: &'static str,
    /// What its path ends in, in a listing.
    pub id: &'static str,
    /// What is always sent with a new one.
    pub always: &'static [(&'static str, &'static str)],
    /// Where it is listed and made.
    pub collection: fn(&Value) -> String,
    /// Its settings.
    pub fields: &'static [Field],
    /// Refuses what can never be.
    pub check: fn(&Value) -> Result<(), Diagnostic>,
}

impl Kind {
    /// The kind of a resource type.
    pub(super) fn of(resource_type: &str) -> Option<&'static Kind> {
        KINDS
            .iter()
            .find(|kind| kind.resource_type == resource_type)
    }

    /// Whether it is known which object is meant.
    pub(super) fn is_key_known(&self, value: &Value) -> bool {
        let mut key = self.key.iter();
        key.all(|name| value.get(name).as_str().is_some())
    }

    /// The path that an object's draft is told by.
    pub(super) fn path(&self, value: &Value) -> String {
        let name = text(value, self.name).unwrap_or_default();
        format!("{}/{name}", (self.collection)(value))
    }
}

/// A setting.
pub(super) struct Field {
    pub attribute: &'static str,
    pub key: &'static str,
    pub form: Form,
    /// Whether it is said once, when the object is made.
    pub is_fixed: bool,
    is_required: bool,
    doc: &'static str,
}

/// How a setting is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Number,
    Switch,
    Names,
}

const fn field(attribute: &'static str, key: &'static str, form: Form, doc: &'static str) -> Field {
    Field {
        attribute,
        key,
        form,
        is_fixed: false,
        is_required: false,
        doc,
    }
}

const fn fixed(attribute: &'static str, key: &'static str, doc: &'static str) -> Field {
    Field {
        attribute,
        key,
        form: Form::Text,
        is_fixed: true,
        is_required: true,
        doc,
    }
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        resource_type: "proxmox_sdn_zone",
        noun: "zone",
        doc: "A zone of a cluster's networks: how they are kept apart.",
        key: &["name"],
        name: "name",
        name_doc: "Its name: up to 8 small letters and digits, a letter first.",
        sent: "zone",
        shown: "zone",
        id: "zone",
        always: &[],
        collection: |_| "/cluster/sdn/zones".into(),
        fields: &[
            fixed(
                "type",
                "type",
                "`simple` (each node by itself), `vlan`, `qinq`, `vxlan` or `evpn`.",
            ),
            field(
                "bridge",
                "bridge",
                Form::Text,
                "The bridge that VLANs go over (`vlan`, `qinq`).",
            ),
            field("vlan", "tag", Form::Number, "The outer VLAN (`qinq`)."),
            field(
                "vlan_protocol",
                "vlan-protocol",
                Form::Text,
                "`802.1q` or `802.1ad` (`qinq`).",
            ),
            field(
                "peers",
                "peers",
                Form::Names,
                "Addresses of the nodes that are its ends (`vxlan`).",
            ),
            field(
                "vxlan_port",
                "vxlan-port",
                Form::Number,
                "The UDP port (`vxlan`).",
            ),
            field(
                "controller",
                "controller",
                Form::Text,
                "The controller (`evpn`).",
            ),
            field(
                "vrf_vxlan",
                "vrf-vxlan",
                Form::Number,
                "The VXLAN that routes between its networks (`evpn`).",
            ),
            field(
                "exit_nodes",
                "exitnodes",
                Form::Names,
                "Nodes by which traffic leaves it (`evpn`).",
            ),
            field("mtu", "mtu", Form::Number, "The largest packet, in bytes."),
            field(
                "nodes",
                "nodes",
                Form::Names,
                "Nodes that have it; all where none is named.",
            ),
            field(
                "ipam",
                "ipam",
                Form::Text,
                "Who gives out addresses: `pve` by default.",
            ),
            field(
                "dns",
                "dns",
                Form::Text,
                "The DNS server that names are written to.",
            ),
            field(
                "dns_zone",
                "dnszone",
                Form::Text,
                "The DNS zone of its guests.",
            ),
            field(
                "reverse_dns",
                "reversedns",
                Form::Text,
                "The DNS server for addresses.",
            ),
            field(
                "dhcp",
                "dhcp",
                Form::Text,
                "`dnsmasq`, where addresses are given by DHCP (`simple`).",
            ),
        ],
        check: |value| name_of(value, "name", 8),
    },
    Kind {
        resource_type: "proxmox_sdn_vnet",
        noun: "network",
        doc: "A virtual network of a zone: what a machine's network device takes as `bridge`.",
        key: &["name"],
        name: "name",
        name_doc: "Its name, which is its bridge's: up to 8 small letters and digits, a letter first.",
        sent: "vnet",
        shown: "vnet",
        id: "vnet",
        always: &[],
        collection: |_| "/cluster/sdn/vnets".into(),
        fields: &[
            Field {
                is_required: true,
                ..field("zone", "zone", Form::Text, "Its zone.")
            },
            field(
                "tag",
                "tag",
                Form::Number,
                "Its VLAN or VXLAN, which all types of zone but `simple` need.",
            ),
            field("alias", "alias", Form::Text, "A text about it."),
            field(
                "vlan_aware",
                "vlanaware",
                Form::Switch,
                "Whether guests may have VLANs of their own in it.",
            ),
            field(
                "isolated",
                "isolate-ports",
                Form::Switch,
                "Whether its guests can't reach each other.",
            ),
        ],
        check: |value| name_of(value, "name", 8),
    },
    Kind {
        resource_type: "proxmox_sdn_subnet",
        noun: "subnet",
        doc: "A subnet of a virtual network.",
        key: &["vnet", "cidr"],
        name: "cidr",
        name_doc: "Its addresses, `10.20.0.0/24`.",
        sent: "subnet",
        shown: "cidr",
        id: "subnet",
        always: &[("type", "subnet")],
        collection: |value| {
            let network = text(value, "vnet").unwrap_or_default();
            format!("/cluster/sdn/vnets/{}/subnets", values::segment(&network))
        },
        fields: &[
            field(
                "gateway",
                "gateway",
                Form::Text,
                "The way out, an address of the subnet, which the nodes have in `simple` zones.",
            ),
            field(
                "snat",
                "snat",
                Form::Switch,
                "Whether its guests go out under the node's address.",
            ),
            field(
                "dns_zone_prefix",
                "dnszoneprefix",
                Form::Text,
                "What stands before the zone's DNS zone.",
            ),
            field(
                "dhcp_dns_server",
                "dhcp-dns-server",
                Form::Text,
                "The name server that DHCP tells.",
            ),
        ],
        check: |value| match text(value, "cidr").filter(|text| !is_network(text)) {
            Some(text) => Err(wrong(
                "cidr",
                format!(
                    "`{text}` is no network: write `10.20.0.0/24`, without bits behind the prefix"
                ),
            )),
            None => Ok(()),
        },
    },
];

fn wrong(attribute: &str, why: String) -> Diagnostic {
    Diagnostic::error("wrong-argument", "unusable argument")
        .detail(why)
        .path(AttributePath::of(attribute))
}

fn name_of(value: &Value, attribute: &str, most: usize) -> Result<(), Diagnostic> {
    let is_name = |name: &str| {
        name.len() <= most
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match text(value, attribute).filter(|name| !is_name(name)) {
        Some(name) => Err(wrong(
            attribute,
            format!(
                "`{name}` is no such name: up to {most} small letters and digits, a letter first"
            ),
        )),
        None => Ok(()),
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else {
        return false;
    };
    let (Ok(address), Ok(prefix)) = (address.parse::<std::net::IpAddr>(), prefix.parse::<u32>())
    else {
        return false;
    };
    match address {
        std::net::IpAddr::V4(address) => {
            prefix <= 32 && u64::from(address.to_bits()).trailing_zeros().min(32) + prefix >= 32
        }
        std::net::IpAddr::V6(address) => {
            prefix <= 128 && address.to_bits().trailing_zeros().min(128) + prefix >= 128
        }
    }
}

pub(super) fn schema(kind: &Kind) -> Schema {
    let mut schema = Schema::new(kind.resource_type, kind.doc)
        .layer(Layer::Network)
        .mark(MarkWay::NaturalKey(kind.key))
        .on_delete(
            "It is removed, or becomes what it was before; the cluster's networks are applied.",
        );
    for key in kind.key {
        let is_name = *key == kind.name;
        let doc = if is_name {
            kind.name_doc
        } else {
            "The virtual network that it is in."
        };
        schema = schema.attribute(
            key,
            Attribute::required(Type::String, doc).replaces().unique(),
        );
    }
    for field in kind.fields {
        let ty = match field.form {
            Form::Text => Type::String,
            Form::Number => Type::Number,
            Form::Switch => Type::Bool,
            Form::Names => Type::set(Type::String),
        };
        let attribute = match field.is_required {
            true => Attribute::required(ty, field.doc),
            false => Attribute::optional(ty, field.doc),
        };
        let attribute = if field.is_fixed {
            attribute.replaces()
        } else {
            attribute
        };
        schema = schema.attribute(field.attribute, attribute);
    }
    schema.attribute(
        "applied",
        Attribute::computed(Type::Bool, "Whether the cluster has it so, and not in a draft alone. A draft of its own is applied."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_names_are_told_from_what_is_none() {
        for text in ["10.20.0.0/24", "0.0.0.0/0", "10.0.0.1/32", "2001:db8::/64"] {
            assert!(is_network(text), "{text}");
        }
        for text in [
            "10.20.0.1/24",
            "10.20.0.0",
            "10.20.0.0/33",
            "2001:db8::1/64",
        ] {
            assert!(!is_network(text), "{text}");
        }
        let named = |name: &str| name_of(&Value::object_of([("name", name.into())]), "name", 8);
        assert!(named("lab1").is_ok());
        assert!(named("Lab").is_err() && named("1a").is_err() && named("abcdefghi").is_err());
    }
}
