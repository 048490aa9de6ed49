//! How long an apply takes beside the longest way through its graph: work that only waits, so that nothing binds but what
//! waits for what.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::process::{Failure, Shell, print, say};

/// How many pieces of work, and of how many others each waits for, at most.
const GRAPHS: [(usize, usize); 3] = [(100, 2), (300, 3), (300, 8)];

/// Applies random graphs of `core_sleep` and compares with their critical paths.
pub(super) async fn measure(shell: &Shell, dmp: &Path) -> Result<(), Failure> {
    print(format_args!(
        "\n{:>6} {:>18} {:>14} {:>9} {:>10}",
        "work", "waits for at most", "critical path", "apply", "longer by"
    ));
    for (seed, (count, most)) in GRAPHS.into_iter().enumerate() {
        say(format_args!("applying a random graph of {count}"));
        let graph = Graph::random(seed as u64 + 1, count, most);
        let place = tempfile::tempdir().map_err(Failure::io("a temporary folder"))?;
        let file = place.path().join("main.hcl");
        std::fs::write(&file, graph.text()).map_err(Failure::io(file.display()))?;
        let mut command = shell.command(dmp);
        command
            .args(["apply", "--yes", "--parallelism", "1000"])
            .current_dir(place.path())
            .env("HOME", place.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let start = Instant::now();
        shell.run(command).await?;
        let taken = start.elapsed().as_secs_f64();
        let path = graph.critical_path() as f64 / 1000.0;
        print(format_args!(
            "{count:>6} {most:>18} {path:>12.2} s {taken:>7.2} s {:>8.1} %",
            (taken / path - 1.0) * 100.0
        ));
    }
    Ok(())
}

/// Pieces of work: milliseconds, and those with lower numbers that each waits for.
struct Graph(Vec<(u64, Vec<usize>)>);

impl Graph {
    /// The same for the same seed.
    fn random(seed: u64, count: usize, most: usize) -> Self {
        let mut state = seed;
        let mut next = move |below: u64| {
            // An LCG's high bits are enough for a shape.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut work = Vec::with_capacity(count);
        for number in 0..count {
            let milliseconds = 50 + next(950);
            let needs = match number {
                0 => Vec::new(),
                _ => (0..next(most as u64 + 1))
                    .map(|_| next(number as u64) as usize)
                    .collect(),
            };
            work.push((milliseconds, needs));
        }
        Self(work)
    }

    /// The longest way, in milliseconds.
    fn critical_path(&self) -> u64 {
        let mut ends: Vec<u64> = Vec::with_capacity(self.0.len());
        for (milliseconds, needs) in &self.0 {
            let begins = needs.iter().map(|need| ends[*need]).max().unwrap_or(0);
            ends.push(begins + milliseconds);
        }
        ends.into_iter().max().unwrap_or(0)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (number, (milliseconds, needs)) in self.0.iter().enumerate() {
            let needs: Vec<String> = needs
                .iter()
                .map(|need| format!("core_sleep.w{need}"))
                .collect();
            let _ = writeln!(
                text,
                "resource \"core_sleep\" \"w{number}\" {{\n  create_duration = \"{milliseconds}ms\"\n  depends_on = [{}]\n}}",
                needs.join(", ")
            );
        }
        text
    }
}
