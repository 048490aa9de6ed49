//! What each single loss would take along: a table for people, and JSON.

use dmp_plan::what_if::{GroupLoss, Loss, Subject};
use serde_json::{Value as Json, json};

use crate::progress::seconds;
use crate::style::Style;

/// The table: a line for each loss, and below it what can't be borne and which groups lose members. `is_detailed`
/// also lists all that is lost.
#[must_use]
pub fn render(losses: &[Loss], is_detailed: bool, style: Style) -> String {
    if losses.is_empty() {
        return "No machine is recorded, and nothing that names the ground below: there is nothing to lose.\n".into();
    }
    let names: Vec<String> = losses.iter().map(|loss| name(&loss.subject)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max("if this is lost".len());
    let mut lines = vec![style.bold(&format!(
        "  {:<width$}   {:>5}   {:>10}   {}",
        "if this is lost", "dies", "made again", "back in at least"
    ))];
    for (loss, name) in losses.iter().zip(&names) {
        let mark = match loss.is_survivable() {
            true => style.good("✓"),
            false => style.bad("✗"),
        };
        lines.push(format!(
            "{mark} {name:<width$}   {:>5}   {:>10}   {}",
            loss.dies.len(),
            loss.again.len(),
            time(loss)
        ));
        lines.extend(loss.groups.iter().map(|group| {
            let line = format!(
                "      {}: {} of {} left, needs {}",
                group.name, group.left, group.members, group.needed
            );
            match group.is_kept() {
                true => style.dim(&line),
                false => style.bad(&line),
            }
        }));
        lines.extend(loss.primary.iter().map(|address| {
            style.bad(&format!(
                "      {address}: primary data, and no copy that dmp knows of"
            ))
        }));
        if is_detailed {
            lines.extend(loss.dies.iter().map(|address| {
                let comes_back = match loss.again.contains(address) {
                    true => "",
                    false => "   not described any more, stays away",
                };
                format!("      dies: {address}{comes_back}")
            }));
        }
    }
    lines.push(String::new());
    let (bad, all) = (fatal(losses), losses.len());
    let losses = if all == 1 { "loss" } else { "losses" };
    lines.push(match bad {
        0 => format!(
            "Each of {all} {losses} can be borne: no primary data is gone, each group keeps enough members."
        ),
        _ => format!("{bad} of {all} {losses} can't be borne."),
    });
    lines.push(String::new());
    lines.join("\n")
}

/// The same for machines.
#[must_use]
pub fn to_json(losses: &[Loss]) -> Json {
    let group = |group: &GroupLoss| {
        json!({
            "name": group.name,
            "members": group.members,
            "left": group.left,
            "needed": group.needed,
            "kept": group.is_kept(),
        })
    };
    let loss = |loss: &Loss| {
        json!({
            "lost": match &loss.subject {
                Subject::Machine(address) => json!({ "kind": "machine", "address": address }),
                Subject::Domain { provider, domain } => json!({
                    "kind": domain.kind,
                    "name": domain.name,
                    "provider": provider,
                }),
            },
            "dies": loss.dies,
            "made_again": loss.again,
            "milliseconds": loss.milliseconds,
            "without_recorded_time": loss.untimed,
            "groups": loss.groups.iter().map(group).collect::<Vec<_>>(),
            "primary_data_lost": loss.primary,
            "survivable": loss.is_survivable(),
        })
    };
    json!({
        "survivable": fatal(losses) == 0,
        "losses": losses.iter().map(loss).collect::<Vec<_>>(),
    })
}

/// How a loss is called on the command line and in the table.
#[must_use]
pub fn name(subject: &Subject) -> String {
    match subject {
        Subject::Machine(address) => address.to_string(),
        Subject::Domain { provider, domain } => {
            format!("{}/{} of {provider}", domain.kind, domain.name)
        }
    }
}

fn fatal(losses: &[Loss]) -> usize {
    losses.iter().filter(|loss| !loss.is_survivable()).count()
}

fn time(loss: &Loss) -> String {
    let known = match loss.milliseconds {
        0..90_000 => seconds(loss.milliseconds),
        more => format!("{} min", more.div_ceil(60_000)),
    };
    match (loss.again.len(), loss.untimed) {
        (0, _) => "-".into(),
        (all, untimed) if all == untimed => "not known: no time is recorded".into(),
        (_, 0) => known,
        (_, untimed) => format!("{known}, and {untimed} without a recorded time"),
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::{Address, FailureDomain};

    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("is an address")
    }

    fn losses() -> Vec<Loss> {
        vec![
            Loss {
                subject: Subject::Domain {
                    provider: "proxmox".into(),
                    domain: FailureDomain {
                        kind: "node".into(),
                        name: "pve1".into(),
                    },
                },
                dies: vec![address("host.a"), address("proxmox_vm.a"), address("t.old")],
                again: vec![address("host.a"), address("proxmox_vm.a")],
                milliseconds: 150_000,
                untimed: 1,
                groups: vec![GroupLoss {
                    name: "kubeadm_cluster.main".into(),
                    members: 3,
                    left: 1,
                    needed: 2,
                }],
                primary: vec![address("proxmox_vm.a")],
            },
            Loss {
                subject: Subject::Machine(address("host.w[\"1\"]")),
                dies: vec![address("host.w[\"1\"]")],
                again: vec![address("host.w[\"1\"]")],
                milliseconds: 41_000,
                untimed: 0,
                groups: vec![GroupLoss {
                    name: "web".into(),
                    members: 3,
                    left: 2,
                    needed: 2,
                }],
                primary: Vec::new(),
            },
        ]
    }

    #[test]
    fn what_cannot_be_borne_is_said_below_its_line() {
        let text = render(&losses(), true, Style::Plain);
        let wanted = "  \
  if this is lost         dies   made again   back in at least
✗ node/pve1 of proxmox       3            2   3 min, and 1 without a recorded time
      kubeadm_cluster.main: 1 of 3 left, needs 2
      proxmox_vm.a: primary data, and no copy that dmp knows of
      dies: host.a
      dies: proxmox_vm.a
      dies: t.old   not described any more, stays away
✓ host.w[\"1\"]                1            1   41.0 s
      web: 2 of 3 left, needs 2
      dies: host.w[\"1\"]

1 of 2 losses can't be borne.
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn machines_get_the_same_as_data() {
        let json = to_json(&losses());
        assert_eq!(json["survivable"], false);
        assert_eq!(json["losses"][0]["lost"]["name"], "pve1");
        assert_eq!(json["losses"][0]["groups"][0]["kept"], false);
        assert_eq!(json["losses"][1]["lost"]["address"], "host.w[\"1\"]");
        assert_eq!(json["losses"][1]["survivable"], true);
    }
}
