//! `cargo xtask bench engine`: what the engine alone costs, in stacks that touch nothing outside.
//!
//! Each shape is applied once; then a plan without changes is timed. Beside it OpenTofu does the same work with
//! `terraform_data`, where it is built (`tests/live/lab/lab build tofu`) and asked for.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::released;
use crate::process::{Failure, Shell, print};

/// What `cargo xtask bench engine` can be told.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many instances, for each shape.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    instances: Vec<usize>,
    /// One shape alone: `one`, `layers`, `blocks`, `modules` or `splat`; or `makespan`, `commits`.
    #[arg(long)]
    shape: Option<String>,
    /// Plans of which the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A built OpenTofu, to do the same work beside dmp.
    #[arg(long, value_name = "FILE")]
    tofu: Option<PathBuf>,
    /// After so many seconds OpenTofu is ended.
    #[arg(long, default_value_t = 600)]
    patience: u64,
}

/// A way to write many instances.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    words: &'static str,
    write: fn(&Words, usize) -> Vec<(&'static str, String)>,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "one",
        words: "one block with for_each",
        write: one,
    },
    Shape {
        name: "layers",
        words: "layers of 100, each refers to the last",
        write: layers,
    },
    Shape {
        name: "blocks",
        words: "separate blocks",
        write: blocks,
    },
    Shape {
        name: "modules",
        words: "modules of 20",
        write: modules,
    },
    Shape {
        name: "splat",
        words: "half refer to all of the other half",
        write: splat,
    },
];

/// What a value is called.
struct Words {
    resource: &'static str,
    given: &'static str,
    got: &'static str,
    file: &'static str,
}

const DMP: Words = Words {
    resource: "core_value",
    given: "value",
    got: "value",
    file: "main.hcl",
};

const TOFU: Words = Words {
    resource: "terraform_data",
    given: "input",
    got: "output",
    file: "main.tf",
};

/// `count` keys, as an expression: a range has an upper limit.
fn keys(count: usize) -> String {
    let (thousands, rest) = (count.div_ceil(1000).max(1), count.min(1000));
    format!(
        "toset(slice([for p in setproduct(range({thousands}), range({rest})) : \"${{p[0]}}-${{p[1]}}\"], 0, {count}))"
    )
}

fn one(words: &Words, count: usize) -> Vec<(&'static str, String)> {
    let text = format!(
        "resource \"{}\" \"v\" {{\n  for_each = {}\n  {} = \"v-${{each.key}}\"\n}}\n",
        words.resource,
        keys(count),
        words.given
    );
    vec![("", text)]
}

fn layers(words: &Words, count: usize) -> Vec<(&'static str, String)> {
    let mut text = String::new();
    for layer in 0..count.div_ceil(100) {
        let given = match layer.checked_sub(1) {
            None => "each.key".to_owned(),
            Some(below) => format!("{}.l{below}[each.key].{}", words.resource, words.got),
        };
        let _ = writeln!(
            text,
            "resource \"{}\" \"l{layer}\" {{\n  for_each = {}\n  {} = {given}\n}}",
            words.resource,
            keys(100),
            words.given
        );
    }
    vec![("", text)]
}

fn blocks(words: &Words, count: usize) -> Vec<(&'static str, String)> {
    let mut text = String::new();
    for block in 0..count {
        let _ = writeln!(
            text,
            "resource \"{}\" \"b{block}\" {{\n  {} = \"{block}\"\n}}",
            words.resource, words.given
        );
    }
    vec![("", text)]
}

fn modules(words: &Words, count: usize) -> Vec<(&'static str, String)> {
    let root = format!(
        "module \"m\" {{\n  source   = \"./m\"\n  for_each = {}\n  name     = each.key\n}}\n",
        keys(count.div_ceil(20))
    );
    let mut inner = "variable \"name\" {\n  type = string\n}\n".to_owned();
    for block in 0..20 {
        let _ = writeln!(
            inner,
            "resource \"{}\" \"r{block}\" {{\n  {} = \"${{var.name}}-{block}\"\n}}",
            words.resource, words.given
        );
    }
    vec![("", root), ("m", inner)]
}

fn splat(words: &Words, count: usize) -> Vec<(&'static str, String)> {
    let half = count.div_ceil(2).min(1000);
    let text = format!(
        "resource \"{0}\" \"a\" {{\n  count = {half}\n  {1} = count.index\n}}\n\
         resource \"{0}\" \"b\" {{\n  count = {half}\n  {1} = length({0}.a[*].{2})\n}}\n",
        words.resource, words.given, words.got
    );
    vec![("", text)]
}

/// What one run of a program took.
pub(super) struct Cost {
    pub(super) seconds: f64,
    /// Until it wrote anything.
    first: f64,
    pub(super) megabytes: f64,
}

/// Writes the stacks, applies them and plans again.
pub(crate) async fn run(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    let dmp = released(shell, None).await?;
    let version = costs(
        shell,
        &dmp,
        &["version"],
        shell.root(),
        arguments.runs,
        None,
    )
    .await?;
    if let Some(version) = version {
        print(format_args!(
            "`dmp version`: {:.1} ms, {:.0} MB\n",
            version.seconds * 1000.0,
            version.megabytes
        ));
    }
    print(format_args!(
        "{:<40} {:>9}   {:>9} {:>9} {:>9} {:>7}   {:>9} {:>7} {:>7}",
        "seconds", "instances", "apply", "plan", "1st line", "MB", "tofu plan", "MB", "times"
    ));
    let is_wanted = |shape: &&Shape| {
        arguments
            .shape
            .as_ref()
            .is_none_or(|name| name == shape.name)
    };
    for shape in SHAPES.iter().filter(is_wanted) {
        for count in &arguments.instances {
            measure(shell, arguments, &dmp, shape, *count).await?;
        }
    }
    let shape = arguments.shape.as_deref();
    if shape.is_none_or(|name| name == "makespan") {
        super::makespan::measure(shell, &dmp).await?;
    }
    if shape.is_none_or(|name| name == "commits") {
        super::commits::run(shell, &dmp).await?;
    }
    Ok(())
}

async fn measure(
    shell: &Shell,
    arguments: &Arguments,
    dmp: &Path,
    shape: &Shape,
    count: usize,
) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::io("a folder"))?;
    write(folder.path(), &DMP, shape, count)?;
    let apply = costs(shell, dmp, &["apply", "--yes"], folder.path(), 1, None).await?;
    let plan = costs(shell, dmp, &["plan"], folder.path(), arguments.runs, None).await?;
    let (Some(apply), Some(plan)) = (apply, plan) else {
        return Err(Failure::Said("dmp has not come to its end".into()));
    };
    let mut line = format!(
        "{:<40} {count:>9}   {:>9.2} {:>9.2} {:>9.3} {:>7.0}",
        shape.words, apply.seconds, plan.seconds, plan.first, plan.megabytes
    );
    if let Some(tofu) = &arguments.tofu {
        let folder = tempfile::tempdir().map_err(Failure::io("a folder"))?;
        write(folder.path(), &TOFU, shape, count)?;
        let patience = Some(Duration::from_secs(arguments.patience));
        let other = beside(shell, tofu, folder.path(), patience).await?;
        line.push_str(&match other {
            Some(other) => format!(
                "   {:>9.2} {:>7.0} {:>7.0}",
                other.seconds,
                other.megabytes,
                other.seconds / plan.seconds
            ),
            None => format!("   not in {} s", arguments.patience),
        });
    }
    print(line);
    Ok(())
}

/// OpenTofu's plan without changes, if it comes to its end.
async fn beside(
    shell: &Shell,
    tofu: &Path,
    folder: &Path,
    patience: Option<Duration>,
) -> Result<Option<Cost>, Failure> {
    costs(shell, tofu, &["init"], folder, 1, patience).await?;
    let apply = ["apply", "-auto-approve"];
    if costs(shell, tofu, &apply, folder, 1, patience)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    costs(shell, tofu, &["plan"], folder, 1, patience).await
}

fn write(folder: &Path, words: &Words, shape: &Shape, count: usize) -> Result<(), Failure> {
    for (inside, text) in (shape.write)(words, count) {
        let folder = folder.join(inside);
        std::fs::create_dir_all(&folder).map_err(Failure::io("a folder"))?;
        std::fs::write(folder.join(words.file), text).map_err(Failure::io("a stack"))?;
    }
    Ok(())
}

/// The run in the middle of several; `None` if one lasted too long.
pub(super) async fn costs(
    shell: &Shell,
    program: &Path,
    words: &[&str],
    folder: &Path,
    runs: usize,
    patience: Option<Duration>,
) -> Result<Option<Cost>, Failure> {
    let mut all = Vec::new();
    for _ in 0..runs.max(1) {
        shell.go_on()?;
        let mut command = shell.command(program);
        command.args(words).current_dir(folder);
        match cost(command, patience).await? {
            Some(cost) => all.push(cost),
            None => return Ok(None),
        }
    }
    all.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    let middle = all.len() / 2;
    Ok(all.into_iter().nth(middle))
}

/// Runs a program, and looks all the time at the most memory that it has had.
async fn cost(mut command: Command, patience: Option<Duration>) -> Result<Option<Cost>, Failure> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(Failure::io("a program"))?;
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::Said("a program without output".into()));
    };
    let status = format!("/proc/{}/status", child.id().unwrap_or_default());
    let (mut first, mut kilobytes) = (None, 0);
    let (mut from_out, mut from_err) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut out_ends, mut err_ends) = (false, false);
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while !(out_ends && err_ends) {
        let heard = tokio::select! {
            read = out.read(&mut from_out), if !out_ends => {
                out_ends = matches!(read, Ok(0) | Err(_));
                !out_ends
            }
            read = err.read(&mut from_err), if !err_ends => {
                err_ends = matches!(read, Ok(0) | Err(_));
                !err_ends
            }
            _ = ticks.tick() => {
                kilobytes = kilobytes.max(most_memory(&status).unwrap_or(0));
                false
            }
        };
        if heard && first.is_none() {
            first = Some(start.elapsed().as_secs_f64());
        }
        if patience.is_some_and(|patience| start.elapsed() > patience) {
            child.kill().await.map_err(Failure::io("a program"))?;
            return Ok(None);
        }
    }
    let ended = child.wait().await.map_err(Failure::io("a program"))?;
    let seconds = start.elapsed().as_secs_f64();
    if !ended.success() {
        return Err(Failure::Said(format!("a measured program failed: {ended}")));
    }
    Ok(Some(Cost {
        seconds,
        first: first.unwrap_or(seconds),
        megabytes: f64::from(kilobytes) / 1024.0,
    }))
}

/// In KiB, as the kernel has counted.
pub(super) fn most_memory(status: &str) -> Option<u32> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
