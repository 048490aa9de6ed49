//! The command line with examples: what a help text, a page of the manual and the reference show below the flags.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use crate::arguments::Arguments;

/// An example: the command line, and what it is for.
type Example = (&'static str, &'static str);

/// By command, in its words.
const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "validate",
        &[
            ("dmp validate", "Check the stack in this folder."),
            ("dmp validate --json", "For an editor or a CI job."),
        ],
    ),
    (
        "fmt",
        &[
            ("dmp fmt --recursive", "This folder and all below."),
            (
                "dmp fmt --check --diff",
                "In a CI job: write nothing, fail if a file is in another layout.",
            ),
            (
                "dmp fmt -",
                "From an editor: standard input to standard output.",
            ),
        ],
    ),
    (
        "plan",
        &[
            ("dmp plan", "Show what would be done."),
            (
                "dmp plan --out site.plan",
                "Keep it, to be carried out as it is.",
            ),
            (
                "dmp plan --var-file prod.hcl --target 'host.node[\"w1\"]'",
                "A part, with values from a file.",
            ),
            (
                "dmp plan --generate-config-out found.hcl",
                "Write down what `import` blocks name and nothing describes.",
            ),
            (
                "dmp plan --refresh-only --detailed-exitcode",
                "Was anything changed by hand? Ends with 2 if so.",
            ),
        ],
    ),
    (
        "apply",
        &[
            ("dmp apply", "Plan, ask, do."),
            ("dmp apply site.plan", "Carry out a plan that was kept."),
            (
                "dmp apply --yes --json",
                "In a CI job; a late delete or replacement still stops.",
            ),
            ("dmp apply --through machine", "Networks and machines only."),
        ],
    ),
    (
        "init",
        &[
            (
                "dmp init",
                "Fetch the modules that the stack takes from git, as locked.",
            ),
            (
                "dmp init --upgrade",
                "Take what their branches and tags name now, and lock that.",
            ),
        ],
    ),
    (
        "import",
        &[(
            "dmp import host_file.motd /etc/motd",
            "What is described as `host_file.motd` is there already: take it over.",
        )],
    ),
    (
        "query",
        &[
            (
                "dmp query proxmox_vm",
                "All machines of the cluster, and which of them the state has.",
            ),
            (
                "dmp query proxmox_vm --where 'contains(each.value.tags, \"web\")' --out web.hcl",
                "Blocks for those that carry a tag; the next apply takes them over.",
            ),
        ],
    ),
    (
        "destroy",
        &[
            (
                "dmp destroy",
                "Show all that would be removed, ask, remove.",
            ),
            (
                "dmp destroy --target module.trial",
                "A part, and what needs it.",
            ),
        ],
    ),
    (
        "rebuild",
        &[
            (
                "dmp rebuild --dry-run",
                "What is left, and what would be done. Changes nothing.",
            ),
            (
                "dmp rebuild --lost 'host.node[\"w1\"]'",
                "That machine is gone for good: bring back what was on it.",
            ),
        ],
    ),
    (
        "what-if",
        &[
            (
                "dmp what-if",
                "Each single loss: what dies, how long it takes to come back, what is gone for good.",
            ),
            (
                "dmp what-if --planned --json",
                "In a CI job, before an apply: ends with 2 if a loss can't be borne.",
            ),
            (
                "dmp what-if node/pve1",
                "All that would die with that hypervisor.",
            ),
        ],
    ),
    (
        "refresh",
        &[(
            "dmp refresh",
            "Record what is there. Nothing outside is changed.",
        )],
    ),
    (
        "show",
        &[
            ("dmp show", "What is recorded."),
            (
                "dmp show site.plan --json",
                "A plan that was kept, as data.",
            ),
        ],
    ),
    (
        "output",
        &[
            ("dmp output", "All outputs; secrets are not shown."),
            (
                "dmp output --raw kubeconfig",
                "One, as it is, also a secret.",
            ),
        ],
    ),
    (
        "state list",
        &[(
            "dmp state list",
            "The address of everything that is recorded.",
        )],
    ),
    (
        "state show",
        &[(
            "dmp state show 'host.node[\"w1\"]'",
            "One instance with its attributes.",
        )],
    ),
    (
        "state mv",
        &[(
            "dmp state mv host.a 'host.node[\"a\"]'",
            "It is called differently now.",
        )],
    ),
    (
        "state rm",
        &[(
            "dmp state rm module.trial",
            "Forget it; what is there stays as it is.",
        )],
    ),
    (
        "state history",
        &[("dmp state history", "What each run has changed.")],
    ),
    (
        "state import",
        &[(
            "dmp state import terraform.tfstate --out imports.hcl",
            "Write `import` blocks for what Terraform or OpenTofu has made.",
        )],
    ),
    (
        "state unlock",
        &[("dmp state unlock", "Who holds the state?")],
    ),
    (
        "state reconcile",
        &[(
            "dmp state reconcile",
            "The newer state is lost for good: go on from this copy.",
        )],
    ),
    (
        "state rekey",
        &[(
            "dmp state rekey",
            "Somebody left: from now on only those whom the stack names can open it.",
        )],
    ),
    (
        "state identity",
        &[
            (
                "dmp state identity",
                "What to write into `recipients`, so that you can open a stack's state.",
            ),
            (
                "dmp state identity --new offline.txt",
                "Another identity, to be kept in a safe.",
            ),
        ],
    ),
    (
        "state export",
        &[(
            "dmp state export",
            "The whole state as JSON; secrets stay sealed.",
        )],
    ),
    (
        "state verify",
        &[(
            "dmp state verify",
            "Is the log whole, and the state what it amounts to?",
        )],
    ),
    (
        "ssh",
        &[
            (
                "dmp ssh 'host.node[\"w1\"]'",
                "A shell there, with the pinned host key.",
            ),
            ("dmp ssh 'host.node[\"w1\"]' -- uptime", "One command."),
            (
                "dmp ssh 'host.node[*]' -- df -h /",
                "One command on many machines, each line with the machine's address.",
            ),
            (
                "dmp ssh --all --parallelism 50 --json -- uptime",
                "On all, for a script.",
            ),
        ],
    ),
    (
        "copy",
        &[
            (
                "dmp copy motd 'host.node[*]:/etc/motd' --mode 0644",
                "A file on many machines: whole, or not at all.",
            ),
            (
                "dmp copy 'host.node[\"w1\"]:/var/log/syslog' .",
                "From one machine, into this folder.",
            ),
        ],
    ),
    (
        "lab serve",
        &[
            (
                "dmp lab serve",
                "Until Ctrl-C; the next time it goes on where it was.",
            ),
            (
                "dmp lab serve --dir /tmp/lab --listen 127.0.0.1:8006 --speed 100",
                "A lab for a script, at a known place, with tasks that hardly take time.",
            ),
            (
                "dmp lab serve --root debian-13=/srv/debian-13.tar --network vmbr0=10.90.0.1/24",
                "Machines that are whole systems, made of this archive; by the superuser.",
            ),
        ],
    ),
    (
        "lab status",
        &[
            ("dmp lab status", "What is there, and what goes wrong."),
            ("dmp lab status --json", "The same for a script."),
        ],
    ),
    (
        "lab kill",
        &[("dmp lab kill web-2", "As if somebody had pulled the plug.")],
    ),
    (
        "lab fault call",
        &[
            (
                "dmp lab fault call reset-after --method POST --path /clone --times 1",
                "The next clone is made, and nobody is told.",
            ),
            (
                "dmp lab fault call too-many --percent 10",
                "Every tenth call, the same ones in every run.",
            ),
        ],
    ),
    (
        "lab fault task",
        &[(
            "dmp lab fault task --kind qmclone --times 1",
            "The next clone fails.",
        )],
    ),
    (
        "lab fault node-down",
        &[("dmp lab fault node-down pve2", "With its machines.")],
    ),
    (
        "lab reset",
        &[(
            "dmp lab reset",
            "Begin anew, with the same addresses and the same token.",
        )],
    ),
    (
        "lab stop",
        &[("dmp lab stop", "It is as it was when it is served again.")],
    ),
    (
        "lab fault list",
        &[(
            "dmp lab fault list",
            "What goes wrong now, and how often it still will.",
        )],
    ),
    (
        "lab fault clear",
        &[("dmp lab fault clear", "All is well again.")],
    ),
    (
        "lab fault node-up",
        &[(
            "dmp lab fault node-up pve2",
            "Its machines have to be started.",
        )],
    ),
    (
        "lab fault no-quorum",
        &[(
            "dmp lab fault no-quorum",
            "Does a plan say it before the first change?",
        )],
    ),
    (
        "lab fault quorum",
        &[("dmp lab fault quorum", "The end of that.")],
    ),
    (
        "lab fault full",
        &[("dmp lab fault full shared", "The next disk finds no room.")],
    ),
    (
        "lab fault room",
        &[("dmp lab fault room shared", "The end of that.")],
    ),
    (
        "lab fault hang",
        &[(
            "dmp lab fault hang web-2",
            "A shutdown has to run into its time.",
        )],
    ),
    (
        "lab fault answer",
        &[("dmp lab fault answer web-2", "The end of that.")],
    ),
    (
        "lab fault cut",
        &[(
            "dmp lab fault cut web-2",
            "As if somebody had pulled its network cable.",
        )],
    ),
    (
        "lab fault join",
        &[("dmp lab fault join web-2", "The end of that.")],
    ),
    (
        "lab fault host-key",
        &[(
            "dmp lab fault host-key web-2",
            "The next contact stops, and says why.",
        )],
    ),
    (
        "lab fault wipe",
        &[(
            "dmp lab fault wipe web-2",
            "An apply makes anew what was on it.",
        )],
    ),
    (
        "lab fault node-clock",
        &[
            (
                "dmp lab fault node-clock pve2 600",
                "Ten minutes ahead: the other nodes refuse its tickets.",
            ),
            ("dmp lab fault node-clock pve2 0", "The end of that."),
        ],
    ),
    (
        "lab fault clock",
        &[
            (
                "dmp lab fault clock vm-1 -3600",
                "A virtual machine is an hour behind.",
            ),
            ("dmp lab fault clock vm-1 0", "The end of that."),
        ],
    ),
    (
        "lab fault stale",
        &[("dmp lab fault stale 30", "Half a minute of old news.")],
    ),
    (
        "facts",
        &[
            (
                "dmp facts 'host.node[\"w1\"]'",
                "Its name, system, kernel, cores and memory, as they are now.",
            ),
            (
                "dmp facts 'host.node[\"w1\"]' --json",
                "The same for a script.",
            ),
        ],
    ),
    (
        "graph",
        &[
            (
                "dmp graph --format dot",
                "For Graphviz: `dmp graph | dot -Tsvg`.",
            ),
            ("dmp graph --format mermaid", "For a Markdown page."),
        ],
    ),
    (
        "console",
        &[
            (
                "dmp console --eval 'cidrsubnet(\"10.0.0.0/16\", 8, 3)'",
                "One expression, without a stack.",
            ),
            (
                "dmp console --eval 'host.node[\"w1\"].facts' --json",
                "What is recorded, as data.",
            ),
        ],
    ),
    (
        "completions",
        &[(
            "dmp completions bash",
            "Put it where your shell looks, or `source` it.",
        )],
    ),
    (
        "man",
        &[
            ("dmp man apply", "One page, for `dmp man apply | man -l -`."),
            (
                "dmp man --out /usr/local/share/man/man1",
                "All pages, where `man` finds them.",
            ),
        ],
    ),
    ("version", &[("dmp version", "The version.")]),
];

/// The command line's description, examples included.
pub(crate) fn command() -> Command {
    let mut root = Arguments::command();
    for (words, examples) in EXAMPLES {
        root = with_help(root, &words.split(' ').collect::<Vec<_>>(), examples);
    }
    root
}

fn with_help(command: Command, words: &[&'static str], examples: &[Example]) -> Command {
    match words {
        [] => command.after_help(rendered(examples)),
        [first, rest @ ..] => {
            command.mut_subcommand(first, |child| with_help(child, rest, examples))
        }
    }
}

fn rendered(examples: &[Example]) -> String {
    let mut text = String::from("Examples:");
    for (line, what) in examples {
        let _ = write!(text, "\n  {line}\n      {what}");
    }
    text
}

/// The examples of a command, by its words without `dmp`.
pub(crate) fn of(words: &str) -> &'static [Example] {
    let mut known = EXAMPLES.iter();
    let found = known.find(|(command, _)| *command == words);
    found.map_or(&[], |(_, examples)| examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All commands that a person is shown, by their words.
    fn commands(command: &Command, above: &str, found: &mut Vec<String>) {
        let shown = command
            .get_subcommands()
            .filter(|child| !child.is_hide_set());
        for child in shown.filter(|child| child.get_name() != "help") {
            let words = format!("{above} {}", child.get_name()).trim().to_owned();
            if child.has_subcommands() {
                commands(child, &words, found);
            } else {
                found.push(words);
            }
        }
    }

    #[test]
    fn every_command_has_examples_and_no_other() {
        let mut all = Vec::new();
        commands(&Arguments::command(), "", &mut all);
        let mut given: Vec<_> = EXAMPLES
            .iter()
            .map(|(words, _)| (*words).to_owned())
            .collect();
        all.sort();
        given.sort();
        assert_eq!(given, all);
    }

    #[test]
    fn every_example_can_be_typed() {
        for (words, examples) in EXAMPLES {
            for (line, _) in *examples {
                assert!(line.starts_with(&format!("dmp {words}")), "{line}");
                let typed = split(line);
                let parsed = command().try_get_matches_from(&typed);
                assert!(parsed.is_ok(), "{line}: {}", parsed.expect_err("is wrong"));
            }
        }
    }

    /// A line as a shell takes it apart, of which the examples need single quotes only.
    fn split(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for letter in line.chars() {
            match letter {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                _ => words.last_mut().expect("a word").push(letter),
            }
        }
        words
    }
}
