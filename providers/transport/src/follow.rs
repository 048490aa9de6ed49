//! What comes back while a batch is followed: frames, then lines of its journal, then reports.
//!
//! The count of lines is the place in the journal: after a lost connection the next attach begins there, and nothing
//! is reported twice.

use std::collections::HashMap;

use dmp_sdk::{ItemEnd, Output, Report};

use crate::quote;

/// One frame from `follow.sh`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A line of the journal with the output and the errors that belong to it. Output `None`: gone with a reboot.
    Line {
        line: String,
        output: Option<Vec<u8>>,
        errors: Vec<u8>,
    },
    /// A word of the follower: `hello`, `beat`, `booting`, `none`, `done`, or `! what is wrong`.
    Word(String),
}

/// Cuts a stream into frames. What comes before the first one is what a login shell may have said.
#[derive(Debug)]
pub(crate) struct Decoder {
    mark: String,
    bytes: Vec<u8>,
    has_begun: bool,
}

impl Decoder {
    pub(crate) fn new(mark: &str) -> Self {
        Self {
            mark: format!("{mark} "),
            bytes: Vec::new(),
            has_begun: false,
        }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame. `Err` where there is something else than a frame.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, String> {
        if !self.has_begun && !self.skip_noise() {
            return Ok(None);
        }
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        let not_ours = || format!("not a frame: {head}");
        let rest = head.strip_prefix(&self.mark).ok_or_else(not_ours)?;
        let mut words = rest.splitn(4, ' ');
        let (Some(kind), Some(out), Some(err)) = (words.next(), words.next(), words.next()) else {
            return Err(not_ours());
        };
        let line = words.next().unwrap_or_default().to_owned();
        if kind == "C" {
            self.bytes.drain(..=end);
            return Ok(Some(Frame::Word(line)));
        }
        let out_size: Option<usize> = match out {
            "-" => None,
            digits => Some(digits.parse().map_err(|_| not_ours())?),
        };
        let err_size: usize = err.parse().map_err(|_| not_ours())?;
        let begin = end + 1;
        let middle = begin + out_size.unwrap_or(0);
        if self.bytes.len() < middle + err_size {
            return Ok(None);
        }
        let output = out_size.map(|_| self.bytes[begin..middle].to_vec());
        let errors = self.bytes[middle..middle + err_size].to_vec();
        self.bytes.drain(..middle + err_size);
        Ok(Some(Frame::Line {
            line,
            output,
            errors,
        }))
    }

    fn skip_noise(&mut self) -> bool {
        let needle = format!("\n{}", self.mark);
        let found = self
            .bytes
            .windows(needle.len())
            .position(|window| window == needle.as_bytes());
        if let Some(at) = found {
            self.bytes.drain(..=at);
            self.has_begun = true;
        }
        self.has_begun
    }
}

/// What a line of the journal means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Something to report.
    Report(Report),
    /// The batch waits for another one on the machine.
    WaitsFor(String),
    /// The batch has ended.
    End,
    /// Nothing to tell.
    Nothing,
}

/// Where in a journal the client is, and what it has to remember of it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Lines seen.
    pub(crate) lines: usize,
    keys: HashMap<String, String>,
    reads: HashMap<String, Vec<Option<Output>>>,
}

impl Journal {
    /// Takes the next line.
    pub(crate) fn take(&mut self, line: &str, output: Option<Vec<u8>>, errors: &[u8]) -> Meaning {
        self.lines += 1;
        self.meaning(line, output, errors)
            .unwrap_or(Meaning::Nothing)
    }

    /// `None` for a line that was cut off by a crash.
    fn meaning(&mut self, line: &str, output: Option<Vec<u8>>, errors: &[u8]) -> Option<Meaning> {
        let words: Vec<&str> = line.split(' ').collect();
        let word = |index: usize| words.get(index).copied();
        Some(match word(0)? {
            "N" => {
                let key = quote::name_of_file(word(2)?);
                self.keys.insert(word(1)?.to_owned(), key);
                Meaning::Nothing
            }
            "W" => Meaning::WaitsFor(quote::name_of_file(word(1)?)),
            "S" => Meaning::Report(Report::StepStarted {
                item: self.key(word(1)?)?,
                step: word(2)?.parse().ok()?,
            }),
            "E" => Meaning::Report(Report::StepEnded {
                item: self.key(word(1)?)?,
                step: word(2)?.parse().ok()?,
                output: Output {
                    status: word(3)?.parse().ok()?,
                    stdout: output.unwrap_or_default(),
                    stderr: String::from_utf8_lossy(errors).into_owned(),
                },
                skipped: word(5)? == "1",
                milliseconds: word(4)?.parse().ok()?,
            }),
            "R" => {
                let status = word(3)?.parse().ok()?;
                let read = output.map(|stdout| Output {
                    status,
                    stdout,
                    stderr: String::from_utf8_lossy(errors).into_owned(),
                });
                self.reads
                    .entry(word(1)?.to_owned())
                    .or_default()
                    .push(read);
                Meaning::Nothing
            }
            "I" => {
                let item = word(1)?;
                let end = match word(2)? {
                    "D" => ItemEnd::Done,
                    "F" => ItemEnd::Failed(word(3)?.parse().ok()?),
                    "K" => ItemEnd::Skipped,
                    "X" => ItemEnd::Interrupted,
                    _ => return None,
                };
                let reads = self.reads.remove(item).unwrap_or_default();
                Meaning::Report(Report::ItemEnded {
                    item: self.key(item)?,
                    end,
                    // One that is gone makes all useless: they are read anew.
                    read: reads.into_iter().collect::<Option<_>>().unwrap_or_default(),
                })
            }
            "Z" => Meaning::End,
            _ => Meaning::Nothing,
        })
    }

    fn key(&self, item: &str) -> Option<String> {
        self.keys.get(item).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let stream = b"Welcome!\n\nM C 0 0 hello\nM J 0 0 B 1 2 3 4 5\nM J 3 2 E 0 0 0 1 0 2 k\na\nbxyM J - 0 R 0 0 0\nM C 0 0 ! no room\n";
        for size in 1..stream.len() {
            let mut decoder = Decoder::new("M");
            let mut frames = Vec::new();
            for piece in stream.chunks(size) {
                decoder.add(piece);
                while let Some(frame) = decoder.next().expect("frames") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 5, "{size}");
            assert_eq!(
                frames[2],
                Frame::Line {
                    line: "E 0 0 0 1 0 2 k".into(),
                    output: Some(b"a\nb".to_vec()),
                    errors: b"xy".to_vec()
                }
            );
            assert_eq!(frames[4], Frame::Word("! no room".into()));
        }
    }

    #[test]
    fn a_journal_closed_after_a_crash_reports_what_was_done_and_what_was_in_flight() {
        let mut journal = Journal::default();
        let lines = [
            "B 1 10 20 boot spool",
            "N 0 a%2Fb",
            "N 1 c",
            "N 2 d",
            "S 0 0",
            "E 0 0 0 120 0 0 a%2Fb",
            "I 0 D -",
            "S 1 0",
            "E 1 0 0 1",
            "",
            "I 1 X -",
            "I 2 K -",
            "Z",
        ];
        let meanings: Vec<_> = lines
            .iter()
            .map(|line| journal.take(line, Some(Vec::new()), b""))
            .collect();
        let ended = |item: &str, end| {
            Meaning::Report(Report::ItemEnded {
                item: item.into(),
                end,
                read: Vec::new(),
            })
        };
        assert_eq!(meanings[6], ended("a/b", ItemEnd::Done));
        assert_eq!(meanings[8], Meaning::Nothing);
        assert_eq!(meanings[10], ended("c", ItemEnd::Interrupted));
        assert_eq!(meanings[11], ended("d", ItemEnd::Skipped));
        assert_eq!(meanings[12], Meaning::End);
        assert_eq!(journal.lines, lines.len());
    }
}
