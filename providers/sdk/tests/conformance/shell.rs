//! A machine that is this one: scripts run in a local shell, one after the other.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use dmp_sdk::machine::{Counts, Stream};
use dmp_sdk::{Batch, Exchange, ItemEnd, Machine, Machines, Output, Report, Script, Unreachable};
use tokio::sync::mpsc;

pub(crate) struct Shell;

pub(crate) fn machine() -> Machine {
    Machine {
        address: "localhost".into(),
        port: 22,
        user: "tester".into(),
        key_file: None,
        private_key: None,
        host_keys: Vec::new(),
        sudo: false,
        ..Machine::default()
    }
}

fn run(script: &Script) -> Output {
    let mut child = Command::new("sh")
        .args(["-c", script.text()])
        .envs(script.variables())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let _ = stdin.write_all(script.payload().unwrap_or_default());
    drop(stdin);
    let output = child.wait_with_output().expect("sh ends");
    Output {
        status: output.status.code().unwrap_or(137),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[async_trait::async_trait]
impl Machines for Shell {
    async fn read(
        &self,
        _on: &Machine,
        scripts: &[Script],
        _deadline: Duration,
    ) -> Result<Exchange, Unreachable> {
        Ok(Exchange {
            outputs: scripts.iter().map(run).collect(),
            host_key: "ssh-ed25519 AAAA".into(),
        })
    }

    async fn run(
        &self,
        _on: &Machine,
        batch: &Batch,
        reports: mpsc::Sender<Report>,
    ) -> Result<(), Unreachable> {
        for item in &batch.items {
            let outputs = item.steps.iter().map(|step| run(&step.run));
            let failed = outputs.enumerate().find(|(_, output)| !output.is_success());
            let end = match failed {
                Some((position, output)) => {
                    let report = Report::StepEnded {
                        item: item.key.clone(),
                        step: position,
                        output,
                        skipped: false,
                        milliseconds: 0,
                    };
                    let _ = reports.send(report).await;
                    ItemEnd::Failed(position)
                }
                None => ItemEnd::Done,
            };
            let report = Report::ItemEnded {
                item: item.key.clone(),
                end,
                read: Vec::new(),
            };
            let _ = reports.send(report).await;
        }
        Ok(())
    }

    async fn settle(
        &self,
        _on: &Machine,
        _batch: &str,
        _reports: mpsc::Sender<Report>,
    ) -> Result<bool, Unreachable> {
        Ok(false)
    }

    async fn forget(&self, _on: &Machine, _batches: &[String]) -> Result<(), Unreachable> {
        Ok(())
    }

    async fn open_stream(
        &self,
        _on: &Machine,
        _host: &str,
        _port: u16,
    ) -> Result<Box<dyn Stream>, Unreachable> {
        Err(Unreachable::Cancelled)
    }

    async fn close(&self) {}

    fn counts(&self) -> Counts {
        Counts::default()
    }
}
