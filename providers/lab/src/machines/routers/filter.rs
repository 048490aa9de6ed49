//! What a router lets through to machines and from them, in the words of `nft`: what their security groups allow, and the answers to
//! that.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::openstack::{Allowed, Guard};

/// At which end of a packet something is.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            End::Source => "saddr",
            End::Destination => "daddr",
        }
    }
}

/// Returns the chains of a router's table that filter.
pub(super) fn chains(guards: &[Guard]) -> String {
    let (mut own, mut from, mut to) = (String::new(), String::new(), String::new());
    for (number, guard) in guards.iter().enumerate() {
        let addresses = set(&guard.addresses);
        for (name, rules, machine, remote, passed) in [
            (
                "from",
                &guard.outward,
                End::Source,
                End::Destination,
                "return",
            ),
            ("to", &guard.inward, End::Destination, End::Source, "accept"),
        ] {
            let _ = writeln!(own, "  chain {name}{number} {{");
            for rule in rules {
                let _ = writeln!(own, "    {}{passed}", conditions(rule, remote));
            }
            own.push_str("    drop\n  }\n");
            let word = machine.word();
            let jump = format!("    ip {word} {addresses} jump {name}{number}\n");
            match machine {
                End::Source => from.push_str(&jump),
                End::Destination => to.push_str(&jump),
            }
        }
    }
    // What leaves one machine may be for another, which has its own word about it.
    format!(
        "{own}  chain through {{\n    type filter hook forward priority 0; policy accept;\n    \
         ct state established,related accept\n{from}{to}  }}\n"
    )
}

fn set(addresses: &BTreeSet<String>) -> String {
    let all: Vec<&str> = addresses.iter().map(String::as_str).collect();
    format!("{{ {} }}", all.join(", "))
}

/// Returns what a packet has to be like that a rule lets through; the other end is the source or the destination.
fn conditions(rule: &Allowed, remote: End) -> String {
    let mut text = String::new();
    if let Some(remotes) = &rule.remote {
        let _ = write!(text, "ip {} {} ", remote.word(), set(remotes));
    }
    let Some(protocol) = rule.protocol else {
        return text;
    };
    let _ = write!(text, "ip protocol {protocol} ");
    match (protocol, rule.ports) {
        (ICMP, (kind, code)) => {
            let parts = [("type", kind), ("code", code)];
            for (name, value) in parts {
                if let Some(value) = value {
                    let _ = write!(text, "icmp {name} {value} ");
                }
            }
        }
        (_, (Some(first), Some(last))) if first == last => {
            let _ = write!(text, "th dport {first} ");
        }
        (_, (Some(first), Some(last))) => {
            let _ = write!(text, "th dport {first}-{last} ");
        }
        _ => {}
    }
    text
}

/// The number of ICMP.
const ICMP: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|it| (*it).to_owned()).collect()
    }

    fn allowed(protocol: Option<u8>, ports: (Option<u16>, Option<u16>)) -> Allowed {
        Allowed {
            protocol,
            ports,
            remote: None,
        }
    }

    #[test]
    fn what_no_rule_lets_in_is_dropped_and_answers_pass() {
        let web = Allowed {
            remote: Some(addresses(&["192.0.2.0/24"])),
            ..allowed(Some(6), (Some(80), Some(81)))
        };
        let guard = Guard {
            addresses: addresses(&["10.20.0.5", "10.20.0.50"]),
            inward: vec![
                web,
                allowed(Some(6), (Some(22), Some(22))),
                allowed(Some(1), (Some(8), None)),
            ],
            outward: vec![allowed(None, (None, None))],
        };
        assert_eq!(
            chains(&[guard]),
            "  chain from0 {\n    return\n    drop\n  }\n  chain to0 {\n    \
             ip saddr { 192.0.2.0/24 } ip protocol 6 th dport 80-81 accept\n    \
             ip protocol 6 th dport 22 accept\n    ip protocol 1 icmp type 8 accept\n    drop\n  }\n  \
             chain through {\n    type filter hook forward priority 0; policy accept;\n    \
             ct state established,related accept\n    \
             ip saddr { 10.20.0.5, 10.20.0.50 } jump from0\n    \
             ip daddr { 10.20.0.5, 10.20.0.50 } jump to0\n  }\n"
        );
    }
}
