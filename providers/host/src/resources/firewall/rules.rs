//! What is let in, as a table of nftables. Whatever stands in it was parsed here: no text of a user gets into the file as it
//! is.

use std::fmt::Write as _;
use std::net::IpAddr;

use dmp_sdk::{Diagnostic, Type, Value};

use crate::on_host::{list_value, optional_text, texts, wrong};

/// The type of `allow`.
pub(super) fn allow_type() -> Type {
    Type::list(Type::object_of_optional([
        ("name", Type::String),
        ("protocol", Type::String),
        ("ports", Type::list(Type::String)),
        ("from", Type::list(Type::String)),
        ("interfaces", Type::list(Type::String)),
    ]))
}

/// Somebody who is let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    name: Option<String>,
    protocol: String,
    /// From and to.
    ports: Vec<(u16, u16)>,
    from: Vec<(IpAddr, u8)>,
    interfaces: Vec<String>,
}

impl Rule {
    /// Reads one of `allow`.
    pub(super) fn of(value: &Value, position: usize) -> Result<Self, Diagnostic> {
        let fail = |summary: &str, detail: String| {
            Err(wrong(
                "allow",
                summary,
                format!("in number {}: {detail}", position + 1),
            ))
        };
        let protocol = optional_text(value, "protocol").unwrap_or_else(|| "tcp".into());
        if !["tcp", "udp"].contains(&protocol.as_str()) {
            return fail(
                "not a protocol",
                format!("`{protocol}` is neither `tcp` nor `udp`"),
            );
        }
        let mut ports = Vec::new();
        for text in texts(value, "ports") {
            match port_range(&text) {
                Some(range) => ports.push(range),
                None => {
                    return fail(
                        "not a port",
                        format!("`{text}` is no port and no range such as `8000-8100`"),
                    );
                }
            }
        }
        let mut from = Vec::new();
        for text in texts(value, "from") {
            match network(&text) {
                Some(network) => from.push(network),
                None => {
                    return fail(
                        "not a network",
                        format!("`{text}` is no address and no network such as `10.0.0.0/8`"),
                    );
                }
            }
        }
        let interfaces = texts(value, "interfaces");
        if let Some(name) = interfaces.iter().find(|name| !is_interface(name)) {
            return fail(
                "not an interface",
                format!("`{name}` can't be the name of one"),
            );
        }
        if ports.is_empty() && from.is_empty() && interfaces.is_empty() {
            return fail(
                "a rule that lets everybody in",
                "none of `ports`, `from` and `interfaces` is given".into(),
            );
        }
        let name = optional_text(value, "name");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " ._-".contains(c);
        if let Some(name) = name
            .iter()
            .find(|name| !name.chars().all(is_plain) || name.len() > 100)
        {
            return fail(
                "not a name",
                format!(
                    "`{name}` has other characters than letters, digits, spaces and `._-`, or more than 100"
                ),
            );
        }
        Ok(Self {
            name,
            protocol,
            ports,
            from,
            interfaces,
        })
    }

    /// Whether everybody may come to a TCP port by it.
    pub(super) fn opens(&self, port: u16) -> bool {
        let has = |(from, to): &(u16, u16)| (*from..=*to).contains(&port);
        self.protocol == "tcp" && (self.ports.is_empty() || self.ports.iter().any(has))
    }

    /// Its lines: addresses of both kinds need one each.
    fn lines(&self) -> Vec<String> {
        let mut front = String::new();
        if !self.interfaces.is_empty() {
            let names: Vec<String> = self
                .interfaces
                .iter()
                .map(|name| format!("\"{name}\""))
                .collect();
            let _ = write!(front, "iifname {} ", set(&names));
        }
        let ports: Vec<String> = self
            .ports
            .iter()
            .map(|(from, to)| match from == to {
                true => from.to_string(),
                false => format!("{from}-{to}"),
            })
            .collect();
        let mut back = match ports.is_empty() {
            true => format!("meta l4proto {} accept", self.protocol),
            false => format!("{} dport {} accept", self.protocol, set(&ports)),
        };
        if let Some(name) = &self.name {
            let _ = write!(back, " comment \"{name}\"");
        }
        let of = |is_wanted: fn(&IpAddr) -> bool| -> Vec<String> {
            let networks = self.from.iter().filter(|(address, _)| is_wanted(address));
            networks
                .map(|(address, prefix)| format!("{address}/{prefix}"))
                .collect()
        };
        let (four, six) = (of(IpAddr::is_ipv4), of(IpAddr::is_ipv6));
        let mut lines = Vec::new();
        if self.from.is_empty() {
            lines.push(format!("{front}{back}"));
        }
        if !four.is_empty() {
            lines.push(format!("{front}ip saddr {} {back}", set(&four)));
        }
        if !six.is_empty() {
            lines.push(format!("{front}ip6 saddr {} {back}", set(&six)));
        }
        lines
    }
}

/// The rules of `allow`, once all is known.
pub(super) fn rules(attributes: &Value) -> Result<Vec<Rule>, Diagnostic> {
    let allow = attributes.get("allow");
    let items = allow.as_items().into_iter().flatten();
    items
        .enumerate()
        .map(|(position, value)| Rule::of(value, position))
        .collect()
}

/// The whole file.
pub(super) fn file(rules: &[Rule], ssh_port: Option<u16>, answers_ping: bool) -> String {
    let mut text = HEAD.to_owned();
    let mut line = |rule: &str| {
        let _ = writeln!(text, "\t\t{rule}");
    };
    if answers_ping {
        PING.iter().for_each(|rule| line(rule));
    }
    if let Some(port) = ssh_port {
        line(&format!("tcp dport {port}{WAY_IN}"));
    }
    for rule in rules {
        rule.lines().iter().for_each(|rule| line(rule));
    }
    text.push_str(TAIL);
    text
}

/// Table and file, so that a plan shows in a few lines what is let in.
pub(super) fn summary(rules: &[Rule], ssh_port: Option<u16>) -> Value {
    let mut lines: Vec<String> = ssh_port
        .map(|port| format!("tcp {port} from everywhere"))
        .into_iter()
        .collect();
    for rule in rules {
        lines.extend(rule.lines());
    }
    list_value(lines)
}

/// The same of a file that is there.
pub(super) fn summary_of(file: &str) -> Value {
    let body = file
        .strip_prefix(HEAD)
        .and_then(|rest| rest.strip_suffix(TAIL));
    let Some(body) = body else {
        return list_value(vec!["another table than dmp writes".into()]);
    };
    let lines = body
        .lines()
        .map(str::trim_start)
        .filter(|line| !PING.contains(line));
    let shown = |line: &str| {
        let port = line.strip_prefix("tcp dport ");
        match port.and_then(|rest| rest.strip_suffix(WAY_IN)) {
            Some(port) => format!("tcp {port} from everywhere"),
            None => line.to_owned(),
        }
    };
    list_value(lines.map(shown).collect())
}

fn set(items: &[String]) -> String {
    match items {
        [one] => one.clone(),
        many => format!("{{ {} }}", many.join(", ")),
    }
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| -> Option<u16> {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|port| is_plain && *port > 0)
    };
    match text.split_once('-') {
        Some((from, to)) => {
            let range = (port(from)?, port(to)?);
            (range.0 < range.1).then_some(range)
        }
        None => port(text).map(|port| (port, port)),
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most)?,
        None => most,
    };
    Some((address, prefix))
}

/// As the kernel has it: at most 15 letters; nftables takes `*` at the end for any rest.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name
            .trim_end_matches('*')
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
}

const PING: [&str; 2] = [
    "icmp type echo-request accept",
    "icmpv6 type echo-request accept",
];
const WAY_IN: &str = " accept comment \"the way by which dmp comes in\"";
const TAIL: &str = "\t}\n}\n";

/// Everything that a machine needs whoever is let in: answers to what it asked, itself, and what IP is without which does
/// not work (RFC 4890 for version 6, and its DHCP).
const HEAD: &str = "#!/usr/sbin/nft -f
# Managed by dmp.
table inet dmp_firewall
delete table inet dmp_firewall
table inet dmp_firewall {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related accept
\t\tct state invalid drop
\t\tiifname \"lo\" accept
\t\ticmp type { destination-unreachable, time-exceeded, parameter-problem } accept
\t\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report, nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
\t\tip6 saddr fe80::/10 udp dport 546 accept
";

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(members: &[(&'static str, Value)]) -> Result<Rule, Diagnostic> {
        let members = members
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()));
        Rule::of(&Value::object(members.collect()), 0)
    }

    fn list(texts: &[&str]) -> Value {
        list_value(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn rules_become_lines_of_each_kind_of_address() {
        let web = rule(&[
            ("name", "web".into()),
            ("ports", list(&["80", "8000-8100"])),
            ("from", list(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])),
            ("interfaces", list(&["eth0"])),
        ])
        .expect("fits");
        assert_eq!(
            web.lines(),
            [
                "iifname \"eth0\" ip saddr { 10.0.0.0/8, 192.0.2.7/32 } tcp dport { 80, 8000-8100 } accept comment \"web\"",
                "iifname \"eth0\" ip6 saddr 2001:db8::/32 tcp dport { 80, 8000-8100 } accept comment \"web\"",
            ]
        );
        let cluster = rule(&[("protocol", "udp".into()), ("from", list(&["10.1.0.0/16"]))]);
        let cluster = cluster.expect("fits");
        assert_eq!(
            cluster.lines(),
            ["ip saddr 10.1.0.0/16 meta l4proto udp accept"]
        );
        assert!(web.opens(8050) && !web.opens(22) && !cluster.opens(22));
        let rules = [web, cluster];
        let file = file(&rules, Some(2222), true);
        assert_eq!(summary_of(&file), summary(&rules, Some(2222)));
        assert_eq!(
            summary_of("table ip x {\n}\n"),
            list(&["another table than dmp writes"])
        );
        assert!(
            file.contains("\t\ttcp dport 2222 accept comment")
                && file.ends_with("accept\n\t}\n}\n")
        );
    }

    #[test]
    fn what_is_no_port_network_or_name_is_refused() {
        let fails =
            |members: &[(&'static str, Value)]| rule(members).expect_err("is wrong").to_string();
        assert!(fails(&[("ports", list(&["ssh"]))]).contains("`ssh` is no port"));
        assert!(fails(&[("ports", list(&["90-80"]))]).contains("`90-80`"));
        assert!(fails(&[("ports", list(&["80 accept"]))]).contains("number 1"));
        assert!(fails(&[("from", list(&["10.0.0.0/33"]))]).contains("no network"));
        assert!(fails(&[("from", list(&["0.0.0.0/0 accept; #"]))]).contains("no network"));
        assert!(fails(&[("interfaces", list(&["eth0\" accept"]))]).contains("can't be the name"));
        assert!(
            fails(&[("name", "a\" accept".into()), ("ports", list(&["1"]))]).contains("characters")
        );
        assert!(fails(&[]).contains("none of"));
        assert!(fails(&[("protocol", "icmp".into())]).contains("neither"));
    }
}
