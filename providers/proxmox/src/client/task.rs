//! Tasks: what takes long is begun by a request and followed by its UPID, on the node that the UPID names.
//!
//! Whether something was done is decided by the object in the end; a task's log goes away.

use std::fmt;
use std::time::{Duration, Instant};

use dmp_sdk::{Cx, Diagnostic};
use serde_json::Value as Json;

use super::error::{ApiError, TaskFailure};
use super::{Client, items, parameters};
use crate::values;

/// The name of a task, `UPID:node:pid:pstart:starttime:type:id:user:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upid {
    text: String,
    /// The node on which it runs, whatever node the request was for.
    pub node: String,
    /// What it does, such as `qmclone`.
    pub kind: String,
}

impl Upid {
    /// Reads a UPID; `None` for any other answer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("UPID:")?.split(':');
        let node = parts.next()?.to_owned();
        let is_hex = |part: &str| (8..=9).contains(&part.len()) && hex_digits(part);
        let times: Vec<&str> = parts.by_ref().take(3).collect();
        let kind = parts.next()?.to_owned();
        let has_rest = parts.next().is_some() && parts.next().is_some();
        let is_whole = times.len() == 3 && times.iter().all(|part| is_hex(part));
        (is_whole && has_rest && !node.is_empty() && !kind.is_empty()).then(|| Self {
            text: text.to_owned(),
            node,
            kind,
        })
    }

    /// The UPID of an answer, if it is one.
    pub(crate) fn of(answer: &Json) -> Option<Self> {
        answer.as_str().and_then(Self::parse)
    }

    fn path(&self, what: &str) -> String {
        format!(
            "/nodes/{}/tasks/{}/{what}",
            values::segment(&self.node),
            values::segment(&self.text)
        )
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn hex_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How a task is waited for: what is on the screen, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    /// The work that waits.
    pub cx: &'a dyn Cx,
    /// What is waited for, in words.
    pub what: &'a str,
    /// For how long.
    pub within: Duration,
}

impl Client {
    /// Follows a task to its end. Its last log line is on the screen meanwhile. The answer has the lines of warnings; a
    /// task that its node knows nothing of any more ends without a word, since the object is looked at anyway.
    pub(crate) async fn follow(
        &self,
        upid: &Upid,
        watch: Watch<'_>,
    ) -> Result<Vec<String>, ApiError> {
        watch.cx.waiting(watch.what, watch.within);
        let begun = Instant::now();
        let until = begun + watch.within;
        let (mut unknown, mut failed) = (0, 0);
        let mut shown = 0;
        loop {
            if watch.cx.is_cancelled() {
                return Err(ApiError::Ended(Box::new(Diagnostic::error(
                    "stopped",
                    "stopped on request",
                ))));
            }
            match self.get(&upid.path("status")).await {
                Ok(status) if status["status"] == "stopped" => {
                    return self.ended(upid, &status).await;
                }
                Ok(_) => {}
                // It may not be listed yet, or no longer.
                Err(ApiError::Refused(refusal)) if refusal.says(&["no such task"]) => {
                    unknown += 1;
                    if unknown > MOST_UNKNOWN {
                        return Ok(Vec::new());
                    }
                }
                // The node may be away for a moment; the work goes on there or has ended.
                Err(ApiError::NodeDown { .. } | ApiError::Unreachable(_)) => {}
                // It says nothing of the task that it could not be asked for once.
                Err(ApiError::Refused(refusal))
                    if refusal.status >= 500 && failed < MOST_FAILED =>
                {
                    failed += 1;
                }
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                return Err(ApiError::Ended(Box::new(
                    Diagnostic::remote("too-slow", "a task did not end in time")
                        .detail(format!(
                            "`{}` on node `{}` still runs after {} s",
                            upid.kind,
                            upid.node,
                            watch.within.as_secs()
                        ))
                        .help("it goes on there; run it again when it has ended"),
                )));
            }
            if begun.elapsed() > SLOW {
                shown = self.show_progress(upid, watch, shown).await;
            }
            // Whoever waits for its turn behind this one loses a tenth of the time at most.
            let pause = (begun.elapsed() / 10).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Puts the newest line of the log on the screen; returns how many lines there were.
    async fn show_progress(&self, upid: &Upid, watch: Watch<'_>, shown: usize) -> usize {
        let from = parameters([("start", &shown.to_string()), ("limit", "500")]);
        let Ok(log) = self.get_with(&upid.path("log"), &from).await else {
            return shown;
        };
        let lines = lines(&log);
        if let Some(line) = lines.last() {
            watch
                .cx
                .waiting(&format!("{}: {line}", watch.what), watch.within);
        }
        shown + lines.len()
    }

    async fn ended(&self, upid: &Upid, status: &Json) -> Result<Vec<String>, ApiError> {
        let exit = values::text(status, "exitstatus").unwrap_or_default();
        if exit == "OK" {
            return Ok(Vec::new());
        }
        let log = self
            .get_with(&upid.path("log"), &parameters([("limit", "5000")]))
            .await
            .map(|log| lines(&log))
            .unwrap_or_default();
        if exit.starts_with("WARNINGS") {
            let warnings = log.into_iter();
            return Ok(warnings
                .filter(|line| line.to_ascii_uppercase().contains("WARN"))
                .collect());
        }
        let tail = log.len().saturating_sub(TAIL);
        Err(ApiError::Task(TaskFailure {
            kind: upid.kind.clone(),
            exit,
            tail: log[tail..].to_vec(),
        }))
    }
}

fn lines(log: &Json) -> Vec<String> {
    let lines = items(log).iter().filter_map(|line| line["t"].as_str());
    lines
        .filter(|line| !line.is_empty() && *line != "no content")
        .map(ToOwned::to_owned)
        .collect()
}

const TAIL: usize = 10;
const MOST_UNKNOWN: u32 = 5;
const MOST_FAILED: u32 = 5;
const SLOW: Duration = Duration::from_secs(2);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_upid_names_its_node() {
        let text = "UPID:pvec1:00000C4C:00064908:6AFFC4A7:qmclone:700:dmp@pve!ci:";
        let upid = Upid::parse(text).expect("a UPID");
        assert_eq!(
            (upid.node.as_str(), upid.kind.as_str()),
            ("pvec1", "qmclone")
        );
        assert!(upid.path("status").ends_with("dmp%40pve%21ci%3A/status"));
        let without_id = "UPID:pvec1:00000B7D:00063FE4:6AFFC490:imgcopy::dmp@pve!ci:";
        assert!(Upid::parse(without_id).is_some());
        for text in ["", "UPID:", "UPID:a:1:2:3:x:1:u:", "UPID:bad"] {
            assert!(Upid::parse(text).is_none(), "{text}");
        }
    }
}
