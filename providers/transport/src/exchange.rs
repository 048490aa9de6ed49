//! Reading: all scripts of one machine in one exchange.
//!
//! Each script runs in a subshell of its own, so that nothing it does reaches the next one. What they write comes back
//! as it is, in two streams, cut by a boundary that no script knows: no temporary file, no encoding, nothing that a
//! full disk could prevent. Scripts that look at one of many things each ([`dmp_sdk::Each`]) are run once for all of them.

use std::collections::HashMap;

use dmp_sdk::{Machine, Output, Script, Unreachable};

use crate::channel::{Running, STDERR_TAIL, Said, no_commands, tail};
use crate::quote;

/// The program that runs the scripts.
fn program(scripts: &[Script], runs: &[Vec<usize>], boundary: &str) -> String {
    let mut program = String::from("dmp_main() {\n");
    program.push_str(PRELUDE);
    program.push_str(&format!(
        "dmp_end() {{\nprintf '\\n%s %s\\n' {boundary} \"$1\"\nprintf '\\n%s\\n' {boundary} >&2\n}}\ndmp_end 0\n"
    ));
    // A text that many scripts share goes over the wire once.
    let mut texts: HashMap<&str, (usize, usize)> = HashMap::new();
    for run in runs {
        let (text, next) = (scripts[run[0]].text(), texts.len());
        if !text.contains('\0') {
            texts.entry(text).or_insert((next, 0)).1 += 1;
        }
    }
    let mut shared: Vec<_> = texts.iter().filter(|(_, (_, times))| *times > 1).collect();
    shared.sort_by_key(|(_, (number, _))| *number);
    for (text, (number, _)) in shared {
        program.push_str(&format!("dmp_text{number}={}\n", quote::quoted(text)));
    }
    for run in runs {
        let script = &scripts[run[0]];
        let items = run.iter().filter_map(|member| scripts[*member].of_many());
        let items: Vec<&str> = items.map(|(item, _)| item).collect();
        let text = match texts.get(script.text()) {
            Some((number, times)) if *times > 1 => format!("\"$dmp_text{number}\""),
            _ => quote::quoted(script.text()),
        };
        let body = match quote::assignments_with(script, &items) {
            Ok(lines) => format!("{lines}eval {text}"),
            Err(why) => quote::refusal(&why),
        };
        match script.payload() {
            None => program.push_str(&format!("(\n{body}\n) </dev/null\n")),
            Some(bytes) => program.push_str(&format!(
                "{{\n{}}} 2>/dev/null | (\n{body}\n)\n",
                quote::printed(bytes)
            )),
        }
        program.push_str("dmp_end $?\n");
    }
    program.push_str("}\ndmp_main\n");
    program
}

/// Which scripts are run at once, by position: those that can be are together.
fn together(scripts: &[Script]) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut open: HashMap<(&str, Script), usize> = HashMap::new();
    for (position, script) in scripts.iter().enumerate() {
        let Some((_, each)) = script.of_many().filter(|_| script.payload().is_none()) else {
            runs.push(vec![position]);
            continue;
        };
        let run = open
            .entry((each.name, script.without_item()))
            .or_insert(runs.len());
        match runs.get_mut(*run).filter(|run| run.len() < MOST_AT_ONCE) {
            Some(run) => run.push(position),
            None => {
                *run = runs.len();
                runs.push(vec![position]);
            }
        }
    }
    runs
}

/// Runs the scripts on an open connection.
pub(crate) async fn read(
    connection: &std::sync::Arc<crate::connect::Connection>,
    machine: &Machine,
    scripts: &[Script],
) -> Result<Vec<Output>, Unreachable> {
    let runs = together(scripts);
    let outputs = run(connection, machine, scripts, &runs).await?;
    let mut answers: Vec<Output> = vec![Output::default(); scripts.len()];
    let mut alone: Vec<Vec<usize>> = Vec::new();
    for (members, output) in runs.into_iter().zip(outputs) {
        let each = scripts[members[0]].of_many().map(|(_, each)| each);
        let parts = match (each, members.len()) {
            (_, 1) | (None, _) => Some(vec![output]),
            (Some(each), count) => (each.split)(&output, count),
        };
        match parts.filter(|parts| parts.len() == members.len()) {
            Some(parts) => {
                for (member, part) in members.into_iter().zip(parts) {
                    answers[member] = part;
                }
            }
            // Something changed in the middle of it.
            None => alone.extend(members.into_iter().map(|member| vec![member])),
        }
    }
    if !alone.is_empty() {
        let outputs = run(connection, machine, scripts, &alone).await?;
        for (members, output) in alone.into_iter().zip(outputs) {
            answers[members[0]] = output;
        }
    }
    Ok(answers)
}

async fn run(
    connection: &std::sync::Arc<crate::connect::Connection>,
    machine: &Machine,
    scripts: &[Script],
    runs: &[Vec<usize>],
) -> Result<Vec<Output>, Unreachable> {
    let boundary = boundary();
    let mut running = Running::start(connection, machine, program(scripts, runs, &boundary))
        .await?
        .killed_on_drop();
    let mut stdout = Parts::new(format!("\n{boundary} "), runs.len() + 1);
    let mut stderr = Parts::new(format!("\n{boundary}"), runs.len() + 1);
    let mut status = None;
    while !(stdout.is_complete() && stderr.is_complete()) {
        match running.next().await {
            Some(Said::Out(bytes)) => stdout.add(&bytes),
            Some(Said::Err(bytes)) => stderr.add(&bytes),
            Some(Said::Status(ended)) => status = Some(ended),
            None => break,
        }
        if stdout.len() > MOST {
            return Err(Unreachable::NoCommands {
                machine: machine.key(),
                why: format!("a reading is larger than {} MiB", MOST >> 20),
            });
        }
    }
    running.has_said_all();
    if !stdout.is_complete() {
        return Err(match status {
            Some(_) => no_commands(machine, status, &stderr.bytes),
            None if connection.is_closed() => Unreachable::Lost {
                machine: machine.key(),
                why: "in the middle of a reading".into(),
            },
            None => no_commands(machine, None, &stderr.bytes),
        });
    }
    let errors = stderr.parts();
    let outputs = stdout.parts().into_iter().enumerate().skip(1);
    Ok(outputs
        .map(|(index, (bytes, word))| Output {
            status: word.parse().unwrap_or(255),
            stdout: bytes.to_vec(),
            stderr: errors
                .get(index)
                .map(|(bytes, _)| tail(bytes))
                .unwrap_or_default(),
        })
        .collect())
}

/// A stream that a boundary cuts into parts. The part before the first boundary is what the login shell may have said.
struct Parts {
    bytes: Vec<u8>,
    boundary: String,
    wanted: usize,
    /// Start of each boundary found, and the end of its line.
    cuts: Vec<(usize, usize)>,
    searched: usize,
}

impl Parts {
    fn new(boundary: String, wanted: usize) -> Self {
        Self {
            bytes: Vec::new(),
            boundary,
            wanted,
            cuts: Vec::new(),
            searched: 0,
        }
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn is_complete(&self) -> bool {
        self.cuts.len() >= self.wanted
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let needle = self.boundary.as_bytes();
        while let Some(at) = find(&self.bytes[self.searched..], needle) {
            let start = self.searched + at;
            let after = start + needle.len();
            let Some(end) = self.bytes[after..].iter().position(|byte| *byte == b'\n') else {
                self.searched = start;
                return;
            };
            self.cuts.push((start, after + end + 1));
            self.searched = after + end + 1;
        }
        // The boundary may have come in half.
        let kept = self.bytes.len().saturating_sub(needle.len());
        self.searched = self.searched.max(kept);
    }

    /// Each part with the word that its boundary carries.
    fn parts(&self) -> Vec<(&[u8], &str)> {
        let mut begin = 0;
        let mut parts = Vec::with_capacity(self.cuts.len());
        for (start, end) in &self.cuts {
            let word = &self.bytes[start + self.boundary.len()..end - 1];
            // Two boundaries in a row share no newline: each brings its own.
            parts.push((
                &self.bytes[begin..(*start).max(begin)],
                std::str::from_utf8(word).unwrap_or_default(),
            ));
            begin = *end;
        }
        parts
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| *byte == first) {
        let start = from + at;
        if haystack[start..].starts_with(needle) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

/// A word that no script can know.
pub(crate) fn boundary() -> String {
    let mut random = [0_u8; 16];
    // The boundary keeps outputs apart; it keeps no secret, and without randomness it still begins with a fixed word.
    let _ = aws_lc_rs::rand::fill(&mut random);
    format!("dmp{}", hex::encode(random))
}

/// What every program begins with: a shell whose `printf` starts no process (its arguments would be seen), messages in
/// English, the directories of administrators.
pub(crate) const PRELUDE: &str = "\
case $(command -v printf) in printf) ;; *) echo 'the shell there has no printf of its own' >&2; exit 97 ;; esac
LC_ALL=C; export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin; export PATH
umask 022
cd /
";

/// So many things are looked at by one run of a script: their names are arguments of the programs that it starts.
const MOST_AT_ONCE: usize = 500;

/// More than this is no reading.
const MOST: usize = 256 << 20;

const _: () = assert!(STDERR_TAIL < MOST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_however_the_stream_is_cut() {
        let stream = b"motd\nB\n\nB 0\n\nB 0\nab\0\n\n\nB 3\n";
        for size in 1..stream.len() {
            let mut parts = Parts::new("\nB ".into(), 3);
            for piece in stream.chunks(size) {
                parts.add(piece);
            }
            assert!(parts.is_complete(), "{size}");
            assert_eq!(
                parts.parts(),
                [(&b"motd\nB\n"[..], "0"), (b"", "0"), (b"ab\0\n\n", "3")]
            );
        }
    }
}
