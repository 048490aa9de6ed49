//! What a rebuild says: what is left, and what came back.

use dmp_events::Classified;
use dmp_sdk::{Address, Layer};

use crate::progress::seconds;
use crate::style::Style;

/// What became of everything recorded: a line for each instance that is not intact, and the sum.
pub(crate) fn classified(conditions: &[Classified], style: Style) -> Vec<String> {
    let mut lines = vec![style.bold("What is left:")];
    for layer in Layer::ALL {
        let here = conditions
            .iter()
            .filter(|condition| condition.layer == layer && condition.condition != "intact");
        for condition in here {
            let word = match condition.condition {
                "drifted" => style.notable("drifted"),
                "lost-with-host" => style.bad("lost with its host"),
                other => style.bad(other),
            };
            let why = condition.why.as_deref().unwrap_or_default();
            lines.push(format!(
                "  {}   {word}   {}",
                condition.address,
                style.dim(why)
            ));
        }
    }
    let count = |word: &str| {
        conditions
            .iter()
            .filter(|condition| condition.condition == word)
            .count()
    };
    let words = [
        ("intact", "intact"),
        ("drifted", "drifted"),
        ("lost", "lost"),
        ("lost-with-host", "lost with their host"),
        ("unreachable", "unreachable"),
        ("unknown", "not known"),
    ];
    let sums: Vec<String> = words
        .iter()
        .map(|(word, shown)| (count(word), *shown))
        .filter(|(count, _)| *count > 0)
        .map(|(count, shown)| format!("{count} {shown}"))
        .collect();
    lines.push(match sums.is_empty() {
        true => "Nothing is recorded.".into(),
        false => format!("{}.", sums.join(", ")),
    });
    lines.push(String::new());
    lines
}

/// How a rebuild ended.
pub(crate) struct Ended<'a> {
    pub lost: &'a [Address],
    pub back: &'a [Address],
    pub missing: &'a [Address],
    pub dropped: &'a [Address],
    pub milliseconds: u64,
    pub estimate: u64,
}

/// What came back, what did not, and how long it took.
pub(crate) fn ended(ended: &Ended<'_>, style: Style) -> Vec<String> {
    if ended.lost.is_empty() {
        return vec!["Nothing was lost.".into()];
    }
    let mut lines = vec![style.bold("Rebuilt:")];
    let took = format!(
        "in {} (by the times recorded: {})",
        seconds(ended.milliseconds),
        seconds(ended.estimate),
    );
    let (all, dropped) = (ended.lost.len(), ended.dropped.len());
    lines.push(match dropped == all {
        true => format!(
            "  none of the {all} that were lost is in the configuration any more; done {took}"
        ),
        false => format!(
            "  {} of {} that were lost are back, {took}",
            ended.back.len(),
            all - dropped
        ),
    });
    for address in ended.missing {
        lines.push(format!("  {} {address}   not back", style.bad("✗")));
    }
    if !ended.dropped.is_empty() {
        let names: Vec<String> = ended.dropped.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "  no longer in the configuration: {}",
            names.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("is an address")
    }

    #[test]
    fn what_is_intact_is_only_counted() {
        let condition = |name: &str, condition, why: Option<&str>| Classified {
            address: address(name),
            layer: Layer::Host,
            condition,
            why: why.map(Into::into),
        };
        let lines = classified(
            &[
                condition("host.a", "intact", None),
                condition("host.b", "lost", Some("as you said")),
                condition("host_file.b", "lost-with-host", Some("it lived on host.b")),
            ],
            Style::Plain,
        );
        assert_eq!(
            lines,
            [
                "What is left:",
                "  host.b   lost   as you said",
                "  host_file.b   lost with its host   it lived on host.b",
                "1 intact, 1 lost, 1 lost with their host.",
                "",
            ]
        );
    }

    #[test]
    fn what_did_not_come_back_is_named() {
        let (lost, back) = (
            [address("host.a"), address("host_file.a")],
            [address("host.a")],
        );
        let lines = super::ended(
            &Ended {
                lost: &lost,
                back: &back,
                missing: &lost[1..],
                dropped: &[],
                milliseconds: 61_000,
                estimate: 48_200,
            },
            Style::Plain,
        );
        assert!(
            lines[1].contains("1 of 2 that were lost are back"),
            "{lines:?}"
        );
        assert!(lines[2].contains("host_file.a   not back"), "{lines:?}");
    }

    #[test]
    fn what_is_no_longer_wanted_is_not_counted_as_missing() {
        let lost = [address("host.a"), address("host_file.a")];
        let said = |back: &[Address], dropped: &[Address]| {
            let ended = Ended {
                lost: &lost,
                back,
                missing: &[],
                dropped,
                milliseconds: 61_000,
                estimate: 48_200,
            };
            super::ended(&ended, Style::Plain).join("\n")
        };
        let some = said(&lost[..1], &lost[1..]);
        assert!(some.contains("1 of 1 that were lost are back"), "{some}");
        assert!(some.contains("no longer in the configuration: host_file.a"));
        let all = said(&[], &lost);
        assert!(all.contains("none of the 2 that were lost"), "{all}");
    }
}
