//! Rules of security groups.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::attributes::{Attribute, Rule, at_create, told};
use super::{Collection, nobody, plain, security_groups, standard};
use crate::openstack::addresses::Range;
use crate::openstack::estate::{Estate, Kind, Shown, number, shown, text};
use crate::openstack::{Call, Failure};

static ATTRIBUTES: [Attribute; 11] = [
    at_create("security_group_id", Rule::Uuid).needed(),
    at_create("direction", Rule::Word(&["ingress", "egress"])).needed(),
    at_create("ethertype", Rule::Word(&["IPv4", "IPv6"])),
    at_create("protocol", Rule::Any),
    at_create("port_range_min", Rule::Number(-1, 65_535)),
    at_create("port_range_max", Rule::Number(-1, 65_535)),
    at_create("remote_ip_prefix", Rule::Text(64)),
    at_create("remote_group_id", Rule::Uuid),
    at_create("remote_address_group_id", Rule::Uuid),
    told("normalized_cidr"),
    told("belongs_to_default_sg"),
];

pub(super) static COLLECTION: Collection = Collection {
    kind: Kind::Rule,
    path: "security-group-rules",
    one: "security_group_rule",
    many: "security_group_rules",
    missing: (
        "SecurityGroupRuleNotFound",
        "Security group rule",
        "does not exist",
    ),
    attributes: &ATTRIBUTES,
    make,
    change,
    remove: |_, _| Ok(()),
    show: plain,
    follow: nobody,
};

/// The protocols that have a name (`neutron_lib/constants.py`).
const PROTOCOLS: [&str; 25] = [
    "ah",
    "dccp",
    "egp",
    "esp",
    "gre",
    "hopopt",
    "icmp",
    "igmp",
    "ip",
    "ipip",
    "ipv6-encap",
    "ipv6-frag",
    "ipv6-icmp",
    "icmpv6",
    "ipv6-nonxt",
    "ipv6-opts",
    "ipv6-route",
    "ospf",
    "pgm",
    "rsvp",
    "sctp",
    "tcp",
    "udp",
    "udplite",
    "vrrp",
];

/// Makes a rule that nobody has sent.
pub(super) fn put(estate: &mut Estate, project: &str, group: &str, rule: Value) {
    let id = estate.new_id();
    let mut made = standard(project);
    for attribute in &ATTRIBUTES {
        made.insert(attribute.name.to_owned(), Value::Null);
    }
    made.insert("description".to_owned(), Value::Null);
    made.extend(shown(rule));
    made.insert("id".into(), json!(id));
    made.insert("security_group_id".into(), json!(group));
    made.remove("belongs_to_default_sg");
    estate.put(Kind::Rule, &id, project, made);
}

/// Nothing of a rule can be changed but what is said about it, which no call of the lab's does.
fn change(_: &mut Call<'_>, _: &str, _: &mut Shown) -> Result<(), Failure> {
    Err(Failure::not_served("changes of security group rules"))
}

fn make(call: &mut Call<'_>, rule: &mut Shown) -> Result<(), Failure> {
    let group = text(rule, "security_group_id").to_owned();
    security_groups::COLLECTION.own(call, &group)?;
    if let Some(remote) = rule["remote_group_id"].as_str() {
        security_groups::COLLECTION.find(call, remote)?;
    }
    if rule["ethertype"].is_null() {
        rule.insert("ethertype".into(), json!("IPv4"));
    }
    protocol(rule)?;
    ports(rule)?;
    remotes(rule)?;
    let estate = &call.world.openstack;
    let same = |other: &Shown| {
        ATTRIBUTES.iter().all(|attribute| {
            let name = attribute.name;
            matches!(name, "belongs_to_default_sg" | "normalized_cidr")
                || other.get(name) == rule.get(name)
        })
    };
    let all = estate.having(Kind::Rule, "security_group_id", &group);
    let mut known = all
        .iter()
        .filter(|id| estate.get(Kind::Rule, id).is_some_and(same));
    match known.next() {
        Some(id) => Err(Failure::of(
            409,
            "SecurityGroupRuleExists",
            format!("Security group rule already exists. Rule id is {id}."),
        )),
        None => Ok(()),
    }
}

fn protocol(rule: &mut Shown) -> Result<(), Failure> {
    let sent = match &rule["protocol"] {
        Value::Null => return Ok(()),
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_ascii_lowercase(),
    };
    if sent == "any" {
        rule.insert("protocol".into(), Value::Null);
        return Ok(());
    }
    let is_number = sent.parse::<u8>().is_ok();
    if !is_number && !PROTOCOLS.contains(&sent.as_str()) {
        let names: Vec<String> = PROTOCOLS.iter().map(|name| format!("'{name}'")).collect();
        return Err(Failure::of(
            400,
            "SecurityGroupRuleInvalidProtocol",
            format!(
                "Security group rule protocol {sent} not supported. Only protocol values [{}] and integer representations [0 to 255] are supported.",
                names.join(", ")
            ),
        ));
    }
    // Of two names for one thing Neutron keeps one.
    let kept = match (sent.as_str(), text(rule, "ethertype")) {
        ("icmp" | "icmpv6", "IPv6") => "ipv6-icmp",
        (sent, _) => sent,
    };
    rule.insert("protocol".into(), json!(kept));
    Ok(())
}

fn ports(rule: &Shown) -> Result<(), Failure> {
    let (least, most) = (&rule["port_range_min"], &rule["port_range_max"]);
    if least.is_null() && most.is_null() {
        return Ok(());
    }
    let protocol = text(rule, "protocol");
    if protocol.is_empty() {
        return Err(Failure::of(
            400,
            "SecurityGroupProtocolRequiredWithPorts",
            "Must also specify protocol if port range is given.",
        ));
    }
    let (first, last) = (
        number(rule, "port_range_min"),
        number(rule, "port_range_max"),
    );
    if protocol.contains("icmp") || protocol == "1" || protocol == "58" {
        let wrong = [
            ("port_range_min", "type", first),
            ("port_range_max", "code", last),
        ];
        if let Some((field, attribute, value)) =
            wrong.into_iter().find(|(_, _, value)| *value > 255)
        {
            return Err(Failure::of(
                400,
                "SecurityGroupInvalidIcmpValue",
                format!(
                    "Invalid value for ICMP {field} ({attribute}) {value}. It must be 0 to 255."
                ),
            ));
        }
        return match least.is_null() {
            true => Err(Failure::of(
                400,
                "SecurityGroupMissingIcmpType",
                format!(
                    "ICMP code (port-range-max) {last} is provided but ICMP type (port-range-min) is missing."
                ),
            )),
            false => Ok(()),
        };
    }
    if !matches!(
        protocol,
        "tcp" | "udp" | "sctp" | "dccp" | "udplite" | "6" | "17" | "33" | "132" | "136"
    ) {
        return Err(Failure::of(
            400,
            "SecurityGroupInvalidProtocolForPort",
            format!(
                "Invalid protocol {protocol} for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP."
            ),
        ));
    }
    let is_whole = !least.is_null() && !most.is_null() && first >= 1 && first <= last;
    match is_whole {
        true => Ok(()),
        false => Err(Failure::of(
            400,
            "SecurityGroupInvalidPortRange",
            "For TCP/UDP protocols, port_range_min must be <= port_range_max",
        )),
    }
}

fn remotes(rule: &mut Shown) -> Result<(), Failure> {
    let names = [
        "remote_ip_prefix",
        "remote_group_id",
        "remote_address_group_id",
    ];
    let given = names.iter().filter(|name| !rule[**name].is_null()).count();
    if given > 1 {
        return Err(Failure::of(
            400,
            "SecurityGroupMultipleRemoteGroups",
            "Only one of remote_ip_prefix, remote_address_group_id or remote_group_id may be provided.",
        ));
    }
    if !rule["remote_address_group_id"].is_null() {
        return Err(Failure::not_served("address groups"));
    }
    let Some(prefix) = rule["remote_ip_prefix"].as_str().map(str::to_owned) else {
        rule.insert("normalized_cidr".into(), Value::Null);
        return Ok(());
    };
    let whole = match prefix.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => format!("{address}/32"),
        Ok(IpAddr::V6(address)) => format!("{address}/128"),
        Err(_) => prefix.clone(),
    };
    let Some(range) = Range::parse(&whole) else {
        let message =
            format!("Invalid input for remote_ip_prefix. Reason: '{prefix}' is not a valid CIDR.");
        return Err(Failure::bad(message));
    };
    let is_six = text(rule, "ethertype") == "IPv6";
    if is_six != (range.version() == 6) {
        return Err(Failure::of(
            400,
            "SecurityGroupRuleParameterConflict",
            format!(
                "Conflicting value ethertype {} for CIDR {whole}",
                text(rule, "ethertype")
            ),
        ));
    }
    rule.insert("remote_ip_prefix".into(), json!(whole));
    rule.insert("normalized_cidr".into(), json!(range.to_string()));
    Ok(())
}
