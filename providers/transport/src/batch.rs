//! A batch as the program that spools, starts and follows it, in one channel; and the programs that attach to it,
//! settle it or forget it. `runner.sh` carries it out, `follow.sh` is what a client does on the machine.

use std::time::Duration;

use dmp_sdk::{Batch, Script, TIME_IS_OVER};

use crate::exchange::{PRELUDE, boundary};
use crate::quote;

/// A program and the mark of the frames that it sends.
pub(crate) struct Program {
    pub(crate) text: String,
    pub(crate) mark: String,
}

impl Program {
    fn new(body: &str) -> Self {
        let mark = boundary();
        let text = format!(
            "dmp_main() {{\n{PRELUDE}umask 077\n{PLACES}\n{FOLLOW}\ndmp_mark={mark}\ndmp_places\nprintf '\\n'\ndmp_say hello\n{body}}}\ndmp_main\ndmp_listen\n"
        );
        Self { text, mark }
    }

    fn on_batch(id: &str, from: usize, body: &str) -> Self {
        let own = "if ! dmp_own \"$dmp_run\" || ! dmp_own \"$dmp_state\"; then dmp_say '! there is no place for batches'; return; fi";
        let id = quote::file_name(id);
        Self::new(&format!(
            "{own}\ndmp_id={id} dmp_from={from}\ndmp_home=$dmp_state/$dmp_id\n{body}"
        ))
    }

    /// Starts the batch, unless it has begun already, and follows it. Before that cloud-init may take its time.
    pub(crate) fn start(batch: &Batch, booting: Duration) -> Self {
        let seconds = booting.as_secs();
        let spool = format!("\"$dmp_run/$dmp_id\"@spool{}", boundary());
        let mut files = String::new();
        for (name, bytes) in spool_files(batch) {
            files.push_str(&format!(
                "{{\n{}}} >\"$dmp_new/{name}\"\n",
                quote::printed(&bytes)
            ));
        }
        let body = format!(
            "! dmp_attach || return\n\
             dmp_booted {seconds} || return\n\
             dmp_new={spool}\n\
             (\nset -e\nmkdir \"$dmp_new\"\n{files})\n\
             if [ $? != 0 ]; then rm -rf \"$dmp_new\"; dmp_say '! the batch does not fit into the memory there'; return; fi\n\
             dmp_launch \"$dmp_new\"\n"
        );
        Self::on_batch(&batch.id, 0, &body)
    }

    /// Follows a batch that may have begun, from a line of its journal on.
    pub(crate) fn attach(id: &str, from: usize) -> Self {
        Self::on_batch(id, from, "dmp_attach || dmp_say none\n")
    }

    /// Follows a batch, or makes sure that it never begins.
    pub(crate) fn settle(id: &str, from: usize) -> Self {
        Self::on_batch(id, from, "dmp_settle\n")
    }

    /// Removes what is left of batches.
    pub(crate) fn forget(ids: &[String]) -> Self {
        let mut body = String::new();
        for id in ids {
            body.push_str(&format!("dmp_forget {}\n", quote::file_name(id)));
        }
        body.push_str("dmp_say done\n");
        Self::new(&body)
    }
}

/// Everything that the runner needs, by file name.
fn spool_files(batch: &Batch) -> Vec<(String, Vec<u8>)> {
    let runner = format!("{PRELUDE}{PLACES}\ndmp_places\nwhole='{TIME_IS_OVER}'\n{RUNNER}");
    let mut files = vec![("runner".to_owned(), runner.into_bytes())];
    let mut plan = String::new();
    for (item, part) in batch.items.iter().enumerate() {
        let after: Vec<_> = part.after.iter().map(ToString::to_string).collect();
        let after = if after.is_empty() {
            "-".to_owned()
        } else {
            after.join(",")
        };
        plan.push_str(&format!(
            "item {item} {} {after} {}\n",
            quote::file_name(&part.key),
            quote::one_line(&part.label)
        ));
        if let Some(within) = part.within {
            let hundredths = within.as_millis().div_ceil(10).max(1);
            plan.push_str(&format!("within {hundredths}\n"));
        }
        for (position, step) in part.steps.iter().enumerate() {
            let taken = part.steps.iter().any(|later| later.takes == Some(position));
            let kept = match (step.gives, taken) {
                (true, _) => 2,
                (false, true) => 1,
                (false, false) => 0,
            };
            let takes = step
                .takes
                .map_or("-".to_owned(), |earlier| earlier.to_string());
            plan.push_str(&format!(
                "step {position} {takes} {kept} {} {}\n",
                step.deadline.as_secs().max(1),
                quote::one_line(&step.title)
            ));
            let base = format!("{item}.{position}");
            if let Some(check) = &step.check {
                add_script(
                    &mut files,
                    &format!("{base}.check"),
                    &format!("{base}.check.in"),
                    check,
                );
            }
            add_script(
                &mut files,
                &format!("{base}.run"),
                &format!("{base}.in"),
                &step.run,
            );
        }
        for (position, script) in part.read.iter().enumerate() {
            plan.push_str(&format!("read {position}\n"));
            let base = format!("{item}.r{position}");
            add_script(
                &mut files,
                &format!("{base}.run"),
                &format!("{base}.in"),
                script,
            );
        }
        plan.push_str("end\n");
    }
    files.push(("plan".to_owned(), plan.into_bytes()));
    files
}

fn add_script(files: &mut Vec<(String, Vec<u8>)>, run: &str, input: &str, script: &Script) {
    files.push((run.to_owned(), quote::script_file(script).into_bytes()));
    if let Some(bytes) = script.payload() {
        files.push((input.to_owned(), bytes.to_vec()));
    }
}

const PLACES: &str = include_str!("places.sh");
const FOLLOW: &str = include_str!("follow.sh");
const RUNNER: &str = include_str!("runner.sh");

#[cfg(test)]
mod tests {
    use dmp_sdk::{BatchItem, Machine, Step};

    use super::*;

    #[test]
    fn secrets_stand_in_files_of_their_step_and_nowhere_else() {
        let machine = Machine {
            address: "node".into(),
            port: 22,
            user: "root".into(),
            key_file: None,
            private_key: None,
            host_keys: Vec::new(),
            sudo: false,
            ..Machine::default()
        };
        let run = Script::new("cat; echo \"$token\"")
            .var("token", "hunter2")
            .stdin(*b"swordfish");
        let batch = Batch {
            id: "b".into(),
            items: vec![BatchItem {
                key: "k".into(),
                label: "host_file.a\nb".into(),
                steps: vec![Step::new("write\na file", &machine, run)],
                within: None,
                read: Vec::new(),
                after: vec![0, 1],
            }],
        };
        let files = spool_files(&batch);
        let with = |word: &[u8]| -> Vec<&str> {
            files
                .iter()
                .filter(|(_, bytes)| bytes.windows(word.len()).any(|window| window == word))
                .map(|(name, _)| name.as_str())
                .collect()
        };
        assert_eq!(with(b"hunter2"), ["0.0.run"]);
        assert_eq!(with(b"swordfish"), ["0.0.in"]);
        let plan = files
            .iter()
            .find(|(name, _)| name == "plan")
            .expect("is there");
        assert_eq!(
            String::from_utf8_lossy(&plan.1),
            "item 0 k 0,1 host_file.a b\nstep 0 - 0 600 write a file\nend\n"
        );
    }
}
