//! Scripts that look at one of many things each are run once for all of them.

use std::time::Duration;

use dmp_sdk::{Each, Machines, Output, Script};
use dmp_testkit::Sshd;

fn part(stdout: &str) -> Output {
    Output {
        status: 0,
        stdout: format!("{stdout}\n").into_bytes(),
        stderr: String::new(),
    }
}

/// Each thing with the number of things that were looked at.
fn lines(output: &Output, count: usize) -> Option<Vec<Output>> {
    let text = output.text();
    let parts: Vec<Output> = text.lines().map(part).collect();
    (parts.len() == count && output.is_success()).then_some(parts)
}

static IN_LINES: Each = Each {
    name: "lines",
    split: lines,
};

static NEVER: Each = Each {
    name: "never",
    split: |_, _| None,
};

const LOOK: &str = r#"for item do echo "$# $mood $item"; done"#;

async fn read(scripts: &[Script]) -> Option<Vec<String>> {
    let sshd = Sshd::start()?;
    let ssh = dmp_testkit::ssh();
    let machine = sshd.machine();
    let exchange = ssh.read(&machine, scripts, Duration::from_secs(30)).await;
    let outputs = exchange.expect("is reached").outputs;
    let text = |output: Output| output.text().trim_end().to_owned();
    Some(outputs.into_iter().map(text).collect())
}

#[tokio::test]
async fn things_are_looked_at_together_where_nothing_else_differs() {
    let look = |mood: &str, item: &str| Script::new(LOOK).var("mood", mood).item(item, &IN_LINES);
    let scripts = [
        look("good", "a 'b'"),
        Script::new("echo \"alone $#\""),
        look("bad", "$(reboot)"),
        look("good", "-x"),
        look("good", "*"),
    ];
    let Some(said) = read(&scripts).await else {
        return;
    };
    assert_eq!(
        said,
        [
            "3 good a 'b'",
            "alone 0",
            "1 bad $(reboot)",
            "3 good -x",
            "3 good *"
        ]
    );
}

#[tokio::test]
async fn what_can_not_be_told_apart_is_looked_at_alone() {
    let look = |item: &str| Script::new(LOOK).var("mood", "any").item(item, &NEVER);
    let Some(said) = read(&[look("a"), look("b")]).await else {
        return;
    };
    assert_eq!(said, ["1 any a", "1 any b"]);
}
