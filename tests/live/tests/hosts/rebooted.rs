//! The machine loses its power while a batch is on it: before it, at the beginning of each step, after each step, and
//! between the batch's end and its record. Its files stay; `/run`, memory and the boot's number do not. Then it boots, the work
//! comes to its end, and nothing was done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmp_live::{Dmp, Entry, Lab, Machine, Plug};
use dmp_testkit::{Ended, Terminal};

use crate::alone::{host, may_stay};

const STACK: &str = r#"
resource "host_package" "tools" {
  host  = host.box.connection
  names = ["hello", "tree"]
  hold  = true
}

resource "host_sysctl" "router" {
  host     = host.box.connection
  name     = "90-router"
  settings = { "net.ipv4.ip_forward" = 1 }
}

resource "host_file" "settings" {
  host    = host.box.connection
  path    = "/etc/ours-settings"
  content = "colour = red\n"
}

resource "host_command" "counted" {
  host    = host.box.connection
  create  = "echo ran >>/var/lib/ours-runs; sleep 0.1"
  check   = "[ -s /var/lib/ours-runs ]"
  destroy = "mv /var/lib/ours-runs /var/log/gone.$(date +%s%N); sleep 0.1"
}

resource "host_service" "ours" {
  host    = host.box.connection
  name    = "ours"
  enabled = true
  running = true
  unit    = <<-EOU
    [Service]
    ExecStartPre=/bin/sh -c 'echo started >>/run/ours'
    ExecStart=/bin/sleep infinity
    [Install]
    WantedBy=multi-user.target
  EOU

  depends_on = [host_package.tools, host_sysctl.router, host_file.settings, host_command.counted]
}
"#;

/// A moment in the life of a batch, by its journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The step of this number has begun.
    Begun(usize),
    /// The step of this number has ended.
    Ended(usize),
    /// The batch of this number has ended.
    Over(usize),
}

impl At {
    /// How lines of the journal begin that tell of such a moment, and how many there must be.
    fn lines(self) -> (&'static str, usize) {
        match self {
            Self::Begun(number) => ("S ", number),
            Self::Ended(number) => ("E ", number),
            Self::Over(number) => ("Z", number),
        }
    }
}

/// The journals of one run's batches, read behind the machine's back.
struct Journals {
    folder: PathBuf,
    /// What earlier runs have left.
    old: BTreeSet<PathBuf>,
    /// They are removed when nobody needs them any more; what was seen counts.
    seen: BTreeMap<PathBuf, String>,
}

impl Journals {
    fn of(machine: &Machine) -> Self {
        let mut journals = Self {
            folder: machine.file("/var/lib/dmp"),
            old: BTreeSet::new(),
            seen: BTreeMap::new(),
        };
        journals.look();
        journals.old = std::mem::take(&mut journals.seen).into_keys().collect();
        journals
    }

    fn look(&mut self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path().join("journal")) {
            if self.old.contains(&path) {
                continue;
            }
            if let Ok(text) = fs::read_to_string(&path) {
                self.seen.insert(path, text);
            }
        }
    }

    /// Waits for a moment. What the machine was at then, or `None` if dmp has ended before.
    fn wait_for(&mut self, at: At, run: &mut Child) -> Option<String> {
        let (beginning, count) = at.lines();
        loop {
            self.look();
            let mut met = 0;
            for (path, text) in &self.seen {
                // A line that is still being written is none.
                let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
                let lines = whole.lines().filter(|line| line.starts_with(beginning));
                let new = lines.clone().count();
                if met + new >= count {
                    let line = lines.clone().nth(count - met - 1).unwrap_or_default();
                    return Some(named(path, whole, line));
                }
                met += new;
            }
            if run.try_wait().expect("it can be asked").is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}

/// A line of the journal in words, by the log beside it: `S 3 0` as `step 0 of host_file.settings`.
fn named(path: &Path, journal: &str, line: &str) -> String {
    let mut words = line.split(' ');
    let (kind, item) = (words.next(), words.next().unwrap_or_default());
    let step = words.next().unwrap_or_default();
    let name = journal.lines().find_map(|line| {
        let (item_of, key) = line.strip_prefix("N ")?.split_once(' ')?;
        let log = path.with_file_name(format!("{key}.log"));
        let log = fs::read_to_string(log).unwrap_or_default();
        let title = log.lines().find(|line| line.starts_with("## "));
        (item_of == item).then(|| {
            title
                .unwrap_or_default()
                .replace("## ", "")
                .trim()
                .to_owned()
        })
    });
    match kind {
        Some("Z") => "at its end".to_owned(),
        Some("E") => format!("behind step {step} of {}", name.unwrap_or_default()),
        _ => format!("at step {step} of {}", name.unwrap_or_default()),
    }
}

struct Site {
    dmp: Dmp,
    machine: Machine,
}

impl Site {
    fn new(lab: &Lab) -> Self {
        let [machine] = lab.machines(["n1"]);
        machine.ssh("sudo apt-get -qq update; sudo truncate -s 0 /var/log/dpkg.log");
        let dmp = Dmp::new(lab);
        dmp.write("main.hcl", format!("{}{STACK}", host(&machine)));
        Self { dmp, machine }
    }

    fn start(&self, verb: &str) -> Child {
        self.dmp
            .command()
            .args([verb, "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dmp starts")
    }

    /// The power comes back: it boots, as another boot.
    fn boots(&self, plug: &Plug) {
        plug.pull();
        self.machine.kill();
        self.machine.start();
    }

    /// The power is cut at a moment while dmp looks on. What the moment was and how the run ended; `None` if there is
    /// no such moment.
    fn while_dmp_looks_on(&self, verb: &str, at: At) -> Option<String> {
        let (plug, mut journals) = (self.machine.plug(), Journals::of(&self.machine));
        let mut run = self.start(verb);
        let moment = journals.wait_for(at, &mut run);
        if moment.is_some() {
            self.boots(&plug);
        }
        let output = run.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let Some(moment) = moment else {
            assert!(output.status.success(), "{verb}: {said}");
            return None;
        };
        let how = match output.status.code() {
            Some(0) => "the run went on",
            // It says what was cut off and what to do.
            Some(3) => {
                assert!(
                    said.contains("went down during the work"),
                    "{moment}: {said}"
                );
                "the run stopped"
            }
            code => panic!("{verb} at {moment} ended with {code:?}: {said}"),
        };
        Some(format!("{moment}; {how}"))
    }

    /// dmp is killed as soon as the batch has begun, and the power is cut at a moment after that.
    fn when_dmp_is_gone(&self, verb: &str, at: At) -> Option<String> {
        let (plug, mut journals) = (self.machine.plug(), Journals::of(&self.machine));
        let mut run = self.start(verb);
        // Every run that has something to do begins a batch.
        journals.wait_for(At::Begun(1), &mut run)?;
        run.kill().expect("it can be killed");
        let output = run.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), None, "it lived");
        // What is left of the batch takes less time than that, also on a busy host.
        let mut nobody = Command::new("sleep").arg("30").spawn().expect("it starts");
        let moment = journals.wait_for(at, &mut nobody);
        let _ = (nobody.kill(), nobody.wait());
        let moment = moment?;
        self.boots(&plug);
        Some(moment)
    }

    fn settled(&self, at: &str, words: &str) {
        let verified = self.dmp.run(["state", "verify"]).success();
        assert!(verified.stdout.contains(words), "{at}: {}", verified.stdout);
    }

    fn is_applied(&self, at: &str) {
        let _ = self.dmp.run(["apply", "--yes"]).success();
        self.machine.ssh(
            "set -e
             [ \"$(apt-mark showhold | tr '\\n' ' ')\" = 'hello tree ' ]
             [ \"$(cat /proc/sys/net/ipv4/ip_forward)\" = 1 ]
             [ \"$(cat /etc/ours-settings)\" = 'colour = red' ]
             systemctl -q is-active ours; systemctl -q is-enabled ours",
        );
        let once = self.machine.ssh(
            "grep -c ' status installed hello:' /var/log/dpkg.log; wc -l </var/lib/ours-runs; wc -l </run/ours",
        );
        assert_eq!(once, "1\n1\n1\n", "{at}: installed, run and started once");
        let plan = self.dmp.run(["plan", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(0), "{at}: {}", plan.stdout);
        self.settled(at, "6 instances, 0 open intents");
    }

    fn is_destroyed(&self, at: &str) {
        let _ = self.dmp.run(["destroy", "--yes"]).success();
        let once = self.machine.ssh(
            "grep -c ' status not-installed hello:' /var/log/dpkg.log; ls /var/log/gone.* | wc -l
             ! systemctl -q is-active ours; [ ! -e /etc/ours-settings ]",
        );
        assert_eq!(once, "1\n1\n", "{at}: removed and run once");
        self.settled(at, "0 instances, 0 open intents");
        self.machine
            .ssh("sudo rm -f /run/ours /var/log/gone.*; sudo truncate -s 0 /var/log/dpkg.log");
    }
}

/// Tries each moment of a kind in an apply and in a destroy, prints them, and says how many there were.
fn at_each(
    site: &Site,
    moment: impl Fn(usize) -> At,
    cut: impl Fn(&str, At) -> Option<String>,
) -> usize {
    let mut count = 0;
    for number in 1.. {
        let at = moment(number);
        let mut cuts = 0;
        for verb in ["apply", "destroy"] {
            let start = Instant::now();
            let met = cut(verb, at);
            let name = format!("{verb} {}", met.as_deref().unwrap_or("to its end"));
            match verb {
                "apply" => site.is_applied(&name),
                _ => site.is_destroyed(&name),
            }
            if met.is_some() {
                count += 1;
                cuts += 1;
                println!("{count:3}  {name} ({:.1} s)", start.elapsed().as_secs_f64());
            }
        }
        if cuts == 0 {
            break;
        }
    }
    count
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn rebooted_before_a_batch_or_at_each_of_its_steps_the_work_comes_to_its_end() {
    let lab = Lab::of_this_suite();
    let site = Site::new(&lab);
    // Some units run at the first boot only.
    site.machine.reboot();
    let before = site.machine.snapshot();
    let (boot, start) = (site.machine.boot_id(), Instant::now());

    // Between the plan and the batch: while the question stands.
    let mut command = site.dmp.command();
    command.arg("apply");
    let mut terminal = Terminal::run(&command).expect("there is `script`");
    terminal.wait_for("Only `yes` is taken for a yes:");
    site.boots(&site.machine.plug());
    assert_ne!(site.machine.boot_id(), boot, "it is another boot");
    terminal.press("yes\r");
    let Ended { code, output, .. } = terminal.end();
    assert_eq!(code, Some(0), "{output}");
    println!("  -  before the batch: the run went on");
    site.is_applied("before the batch");
    site.is_destroyed("after that");

    let cut = |verb: &str, at: At| site.while_dmp_looks_on(verb, at);
    let count = at_each(&site, At::Begun, cut);
    println!(
        "1 reboot before a batch and {count} at its steps, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert!(count > 10, "there are more steps");
    let is_of_a_boot =
        |entry: &Entry| may_stay(entry) || entry.name.starts_with("/var/tmp/systemd-private-");
    let differences = before
        .without(is_of_a_boot)
        .differences(&site.machine.snapshot().without(is_of_a_boot));
    assert_eq!(differences, [""; 0], "left on the machine");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn rebooted_after_each_step_while_dmp_is_gone_the_next_run_goes_on() {
    let lab = Lab::of_this_suite();
    let site = Site::new(&lab);
    let start = Instant::now();
    let cut = |verb: &str, at: At| site.when_dmp_is_gone(verb, at);
    let steps = at_each(&site, At::Ended, cut);
    let ends = at_each(&site, At::Over, cut);
    println!(
        "{steps} reboots after a step and {ends} between a batch's end and its record, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert!(steps > 10 && ends >= 2, "there are more");
}
