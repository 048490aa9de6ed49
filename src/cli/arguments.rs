//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::Errand;
use crate::part::{Only, PartOf};

/// Provisions a stack through every layer, from networks and machines to the platform on top.
#[derive(Debug, Parser)]
#[command(name = "dmp", disable_version_flag = true, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The stack's folder, instead of the current one.
    #[arg(short = 'C', long, global = true, value_name = "FOLDER")]
    pub chdir: Option<PathBuf>,
    /// Serve a lab for the stack in the background, if none is: it goes on when the command has ended, until `dmp lab stop`.
    #[arg(long, global = true)]
    pub lab: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch the modules of the stack, and make its folder ready.
    Init(Init),
    /// Check the configuration without looking at anything outside.
    Validate(Machine),
    /// Bring `*.hcl` files into the canonical layout, and list those that were in another.
    Fmt(Fmt),
    /// Show what would be done.
    Plan(Plan),
    /// Do it, after asking.
    Apply(Apply),
    /// Take over an object that is there already, for an instance that the stack describes, after asking. An `import` block
    /// does the same for everybody.
    Import(Import),
    /// List what is there of a resource type, dmp's own and others', and write `import` and `resource` blocks for what the
    /// state does not have. It only reads.
    Query(Query),
    /// Remove everything that the stack made, after asking.
    Destroy(Apply),
    /// Look what is left after a failure, and bring back what is lost, after asking.
    Rebuild(Rebuild),
    /// Say what each single loss of a machine, or of the ground below, would take along; nothing is touched. Ends with 2 if
    /// one can't be borne.
    WhatIf(WhatIf),
    /// Read everything that is recorded, and record it as it is.
    Refresh(Refresh),
    /// Show the state, or a saved plan.
    Show(Show),
    /// Show the stack's outputs.
    Output(Output),
    /// Look into the state.
    #[command(subcommand)]
    State(State),
    /// Open a shell on a machine of the stack, or run a command there.
    Ssh(Ssh),
    /// Copy a file to machines of the stack, or from one.
    Copy(Copy),
    /// Read what a machine of the stack says of itself now, and record nothing.
    Facts(Facts),
    /// Try stacks without a cloud: serve an embedded Proxmox VE API, and let things go wrong in it.
    Lab(dmp_lab::command::LabArguments),
    /// Print the graph of the configuration: each block, and what it needs.
    Graph(Graph),
    /// Evaluate expressions with the values of the state; in a folder without a stack, without any.
    Console(Console),
    /// Print a script that lets a shell complete dmp's command lines.
    Completions(Completions),
    /// Print a page of the manual, or write all of them.
    Man(Man),
    /// Print a page of the reference.
    #[command(subcommand, hide = true)]
    Docs(Docs),
    /// Print dmp's version.
    Version(Machine),
}

#[derive(Debug, Args)]
pub(crate) struct Machine {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Take what branches and tags say now, instead of the commits in `dmp.lock.hcl`.
    #[arg(long)]
    pub upgrade: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Files and folders, instead of the current folder; `-` is standard input, and standard output for what is made
    /// of it.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Write nothing, and end with 3 if a file is in another layout.
    #[arg(long)]
    pub check: bool,
    /// Print what changes.
    #[arg(long)]
    pub diff: bool,
    /// Also the folders below.
    #[arg(long)]
    pub recursive: bool,
    /// Print the names of files in another layout; `--list=false` does not.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub list: bool,
    /// Write the files; with `--write=false --list=false` they are printed as they should be.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
        default_missing_value = "true", action = clap::ArgAction::Set)]
    pub write: bool,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Variables {
    /// Set an input variable.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub var: Vec<String>,
    /// Set input variables from a file.
    #[arg(long = "var-file", value_name = "FILE")]
    pub var_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub variables: Variables,
    #[command(flatten)]
    pub part: PartOf,
    /// Keep the plan in a file, to be applied later.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Write `resource` blocks for what `import` blocks name and nothing describes into this new file, and plan with
    /// them.
    #[arg(long, value_name = "FILE", conflicts_with = "destroy")]
    pub generate_config_out: Option<PathBuf>,
    /// Plan to remove everything.
    #[arg(long)]
    pub destroy: bool,
    /// Only show what was changed outside; nothing is planned.
    #[arg(long, conflicts_with_all = ["destroy", "out", "replace", "forget_unreachable", "no_refresh"])]
    pub refresh_only: bool,
    /// End with 2 if there is something to do.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Print how many logins and exchanges with machines it took.
    #[arg(long)]
    pub counts: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// A plan that was kept by `dmp plan --out`.
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub variables: Variables,
    #[command(flatten)]
    pub part: PartOf,
    /// Do not ask. Never approves a delete or a replacement that shows only while applying.
    #[arg(long, alias = "auto-approve")]
    pub yes: bool,
    /// Only record what was changed outside, as it is there; nothing is changed.
    #[arg(long, conflicts_with_all = ["plan", "replace", "forget_unreachable", "no_refresh"])]
    pub refresh_only: bool,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The address of the instance.
    pub address: String,
    /// The object's id, as an `import` block has it.
    pub id: String,
    #[command(flatten)]
    pub variables: Variables,
    /// Do not ask.
    #[arg(long, alias = "auto-approve")]
    pub yes: bool,
    #[command(flatten)]
    pub how: How,
}

impl Import {
    /// An apply of this instance and what it needs, with an import.
    pub(crate) fn parts(self) -> (Apply, Errand) {
        let errand = Errand::Import {
            address: self.address.clone(),
            id: self.id,
        };
        let part = PartOf {
            only: Only {
                target: vec![self.address],
                ..Only::default()
            },
            ..PartOf::default()
        };
        let apply = Apply {
            plan: None,
            variables: self.variables,
            part,
            refresh_only: false,
            yes: self.yes,
            how: self.how,
        };
        (apply, errand)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The resource type, such as `proxmox_vm`.
    #[arg(value_name = "TYPE")]
    pub resource_type: String,
    /// Only those for which this condition holds; `each.key` is the id, `each.value` the object as `--json` shows it.
    #[arg(long, value_name = "CONDITION")]
    pub r#where: Option<String>,
    /// Write blocks for those that the state does not have into this new file of the stack.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub variables: Variables,
    /// Print JSON.
    #[arg(long, conflicts_with = "out")]
    pub json: bool,
}

/// How a run is carried out and told of.
#[derive(Clone, Debug, Args)]
pub(crate) struct How {
    /// Print events as lines of JSON.
    #[arg(long)]
    pub json: bool,
    /// Calls of APIs that may be under way at once.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub parallelism: usize,
    /// Print where the time went, by layer.
    #[arg(long)]
    pub timeline: bool,
    /// Print a line for each step.
    #[arg(long, short)]
    pub verbose: bool,
    /// Print how many logins and exchanges with machines it took.
    #[arg(long)]
    pub counts: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// A recorded instance that is lost for good, such as `host.node["w1"]`; what lived on it is lost with it. Can be
    /// given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub lost: Vec<String>,
    /// Only show what is left and what would be done.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub variables: Variables,
    /// Do not ask before the plan is carried out. Whether a silent machine is lost is never taken for granted.
    #[arg(long, alias = "auto-approve")]
    pub yes: bool,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Args)]
pub(crate) struct WhatIf {
    /// What is lost: a machine by its address, or a part of the ground below such as `node/pve1`. All that can be if none
    /// is given.
    #[arg(value_name = "LOSS")]
    pub lost: Vec<String>,
    /// The stack as it will be once its plan is carried out, not as it is recorded.
    #[arg(long)]
    pub planned: bool,
    #[command(flatten)]
    pub variables: Variables,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Refresh {
    #[command(flatten)]
    pub variables: Variables,
    #[command(flatten)]
    pub only: Only,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A plan that was kept by `dmp plan --out`.
    pub plan: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Only this one; a secret is shown when it is asked for by name.
    pub name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print the text itself, without quotes.
    #[arg(long, requires = "name")]
    pub raw: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum State {
    /// List the addresses of all instances.
    List,
    /// Show one instance.
    Show {
        /// Its address.
        address: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give recorded objects another address, without touching them. For a stack in version control a `moved` block
    /// is better: everybody's state follows it.
    Mv {
        /// A resource, an instance or a module.
        from: String,
        /// What it is called now.
        to: String,
    },
    /// Forget objects without touching them: a resource, an instance or a module.
    Rm {
        /// Their addresses.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
    /// Tell what each run has changed in the state.
    History {
        /// Print a line of JSON for each run.
        #[arg(long)]
        json: bool,
    },
    /// Write `import` blocks for what a state of Terraform or OpenTofu has (`terraform state pull`, version 4). It is only
    /// read.
    Import {
        /// The file.
        file: PathBuf,
        /// Write them into this new file of the stack, instead of to standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Go on from an older copy, when the newer state is lost for good; tell what it can't know.
    Reconcile(Reconcile),
    /// Give the state another key, for those whom the stack now names, and seal everything anew with it. What the log
    /// tells of earlier runs is dropped.
    Rekey,
    /// Print the recipient of the identity that opens states on this machine: `DMP_IDENTITY`, else
    /// `~/.config/dmp/identity.txt`.
    Identity {
        /// Make a new identity in this file instead, such as one that is kept offline.
        #[arg(long, value_name = "FILE")]
        new: Option<PathBuf>,
    },
    /// Say who holds the state; ends with 5 if a run does. A dead run's lock is free by itself, and a living one's is not
    /// taken away.
    Unlock,
    /// Print the whole state as JSON; secrets stay sealed.
    Export,
    /// Check that the log is whole and the state is what it amounts to.
    Verify,
}

#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    #[command(flatten)]
    pub variables: Variables,
    /// Do not ask.
    #[arg(long, alias = "auto-approve")]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ssh {
    /// The address of an instance with a `connection`, such as `host.node["cp"]`. With `*` or `?` in it the command runs
    /// on all that fit.
    #[arg(required_unless_present_any = ["all", "layer"], conflicts_with_all = ["all", "layer"])]
    pub address: Option<String>,
    /// Run the command on all machines of the stack.
    #[arg(long, conflicts_with = "layer")]
    pub all: bool,
    /// Run the command on all machines of a layer.
    #[arg(long, value_name = "LAYER")]
    pub layer: Option<String>,
    /// On how many machines at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub parallelism: usize,
    /// Print an object of JSON for each machine, in a line of its own, when it has ended: `address`, `status` (the exit code; in its
    /// place `error` where none was had), `stdout`, `stderr`.
    #[arg(long)]
    pub json: bool,
    /// A command to run instead of a shell.
    #[arg(last = true)]
    pub command: Vec<String>,
}

impl Ssh {
    /// Whether it is about more than one machine, or told of as data.
    pub(crate) fn is_for_many(&self) -> bool {
        let is_pattern = |address: &String| address.contains(['*', '?']);
        self.all
            || self.json
            || self.layer.is_some()
            || self.address.as_ref().is_some_and(is_pattern)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The file: here, or on a machine as `ADDRESS:/path`.
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Where to: a path here, or `ADDRESS:/path`; with `*` or `?` in the address on all machines that fit. A path that
    /// ends with `/` is a folder.
    #[arg(value_name = "TO")]
    pub to: String,
    /// Its mode on the machine, instead of the one that it has here.
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Its owner on the machine: `USER` or `USER:GROUP`.
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,
    /// To how many machines at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub parallelism: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Facts {
    #[command(flatten)]
    pub variables: Variables,
    /// The address of a recorded instance, such as `host.node["cp"]`.
    pub address: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// The form: for Graphviz, for a Markdown page, or for a script.
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub format: GraphFormat,
}

/// A form of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz's DOT language.
    Dot,
    /// Mermaid's flowchart.
    Mermaid,
    /// An object with all blocks.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Console {
    #[command(flatten)]
    pub variables: Variables,
    /// The expression; without it, each line of standard input is one.
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub eval: Option<String>,
    /// Print a line of JSON for each expression: its `type` and `value`, or its `diagnostics`.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell: `bash`, `zsh`, `fish`, `elvish` or `powershell`.
    #[arg(hide_possible_values = true)]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The command, such as `apply` or `state mv`; none for dmp itself.
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write all pages into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Docs {
    /// What there is.
    Index,
    /// The command line.
    Cli,
    /// Exit codes.
    ExitCodes,
    /// The functions of the language.
    Functions,
    /// All of one provider.
    Provider {
        /// Its name.
        name: String,
    },
}
