//! dmp is killed, or its SSH sessions are cut, at named points of a cluster's life. Each point is met from a known situation,
//! and a point that is not met fails the test. What follows each: the work comes to its end, nothing is done twice, no
//! intent stays open, the nodes are counted and a plan is empty.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use dmp_live::{Dmp, Lab, Machine};
use serde_json::Value as Json;

use super::Stack;

/// What happens to dmp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// SIGKILL.
    Kill,
    /// Every SSH session that dmp has on any machine dies; dmp lives.
    Cut,
}

/// What is waited for, or done, between an event and a blow.
#[derive(Clone, Copy)]
enum Then<'a> {
    Nothing,
    /// A process with this pattern in its command is there on a machine.
    Process(&'a Hand, &'a str),
    /// The API server on this machine is stopped until a moment after the blow: the call that has just begun is not
    /// answered before.
    Silence(&'a Hand),
}

/// A place in a run: what the run says of itself, and then what a machine is seen to do.
#[derive(Clone, Copy)]
struct Point<'a> {
    name: &'a str,
    event: &'a str,
    /// A part of the event's address, and of its title.
    address: &'a str,
    title: &'a str,
    then: Then<'a>,
    /// How long after that, in milliseconds.
    after: u64,
    /// The step of the event is not carried out a second time.
    is_once: bool,
    /// Whether the record of the instance is still open when dmp is killed.
    is_open: bool,
    blow: Blow,
}

impl<'a> Point<'a> {
    /// A step that goes on by itself, seen at work on a machine.
    fn inside(
        name: &'a str,
        (address, title): (&'a str, &'a str),
        (hand, process): (&'a Hand, &'a str),
        blow: Blow,
    ) -> Self {
        Self {
            event: "step_started",
            then: Then::Process(hand, process),
            is_once: true,
            ..Self::call(name, (address, title), blow)
        }
    }

    /// A step that has ended.
    fn behind(name: &'a str, (address, title): (&'a str, &'a str), blow: Blow) -> Self {
        Self {
            event: "step_ended",
            ..Self::call(name, (address, title), blow)
        }
    }

    /// A call of an API, which may be repeated.
    fn call(name: &'a str, (address, title): (&'a str, &'a str), blow: Blow) -> Self {
        Self {
            name,
            event: "step_started",
            address,
            title,
            then: Then::Nothing,
            after: 0,
            is_once: false,
            is_open: true,
            blow,
        }
    }

    /// A call that the API server does not answer before the blow.
    fn unanswered(
        name: &'a str,
        (address, title): (&'a str, &'a str),
        plane: &'a Hand,
        blow: Blow,
    ) -> Self {
        Self {
            then: Then::Silence(plane),
            ..Self::call(name, (address, title), blow).later(100)
        }
    }

    fn again(self) -> Self {
        Self {
            is_once: false,
            ..self
        }
    }

    fn later(self, after: u64) -> Self {
        Self { after, ..self }
    }

    fn is_at(&self, event: &Json) -> bool {
        let has = |name: &str, part: &str| {
            part.is_empty() || event[name].as_str().is_some_and(|text| text.contains(part))
        };
        event["event"] == self.event && has("address", self.address) && has("title", self.title)
    }

    /// How often the step was carried out in a run.
    fn count(&self, events: &[Json]) -> usize {
        let is_done = |event: &&Json| {
            event["event"] == "step_ended"
                && event["skipped"] == false
                && event["title"]
                    .as_str()
                    .is_some_and(|title| title.contains(self.title))
                && event["address"]
                    .as_str()
                    .is_some_and(|address| address.contains(self.address))
        };
        events.iter().filter(is_done).count()
    }
}

/// A root shell on a machine that is open before it is needed, so that what it does comes at once.
struct Hand {
    name: String,
    ssh: Child,
    input: ChildStdin,
    output: Cell<Option<Lines<BufReader<ChildStdout>>>>,
}

impl Hand {
    fn on(stack: &Stack, machine: &Machine) -> Self {
        let known_hosts = format!("UserKnownHostsFile={}", machine.known_hosts().display());
        let mut ssh = stack
            .lab
            .enter("ssh")
            .arg("-i")
            .arg(machine.key())
            .args(["-o", &known_hosts, "-o", "LogLevel=ERROR"])
            .args(["-o", "IdentitiesOnly=yes"])
            .arg(format!("{}@{}", machine.user(), machine.address()))
            .arg("exec sudo bash -s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh starts");
        let input = ssh.stdin.take().expect("it is piped");
        let output = BufReader::new(ssh.stdout.take().expect("it is piped")).lines();
        Self {
            name: machine.name().to_owned(),
            ssh,
            input,
            output: Cell::new(Some(output)),
        }
    }

    /// Runs a script and returns the last line that it prints.
    fn run(&self, script: &str) -> String {
        let mut input = &self.input;
        writeln!(input, "{script}\necho 'so far'").expect("the shell reads");
        let mut lines = self.output.take().expect("it is put back");
        let mut last = String::new();
        loop {
            let line = lines.next().expect("the shell lives").expect("text");
            if line == "so far" {
                break;
            }
            last = line;
        }
        self.output.set(Some(lines));
        last
    }

    fn sees(&self, process: &str) -> bool {
        let script = format!(
            "for i in $(seq 1500); do pgrep -f '{process}' >/dev/null && echo here && break; sleep 0.02; done"
        );
        self.run(&script) == "here"
    }

    /// Ends all sessions but its own, and says how many processes that were.
    fn cut(&self) -> usize {
        let script = "own=; at=$$; while [ \"$at\" -gt 1 ]; do own=\"$own $at \"; at=$(ps -o ppid= -p $at | tr -d ' '); done
cut=0; for one in $(pgrep -f '^sshd-session: '); do case $own in *\" $one \"*) ;; *) kill -KILL $one && cut=$((cut + 1)) ;; esac; done; echo $cut";
        self.run(script).parse().expect("a number")
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}

/// A stack under blows, and the shells on its machines.
struct Trial<'a> {
    stack: &'a Stack,
    hands: &'a [Hand],
    struck: Cell<[usize; 2]>,
}

impl Trial<'_> {
    /// Runs dmp until a point, strikes, and lets the work come to its end: after a kill by the same command again, after
    /// a cut by itself. `then` is done after the blow.
    fn strike(&self, dmp: &Dmp, verb: &str, point: &Point<'_>, then: impl FnOnce()) {
        let start = Instant::now();
        if let Then::Silence(plane) = point.then {
            // Known before, so that stopping them takes no time.
            let known =
                plane.run("servers=$(echo $(pgrep '^(kube-apiserver|etcd)$')); echo $servers");
            assert_eq!(
                known.split_whitespace().count(),
                2,
                "{}: {known}",
                point.name
            );
        }
        let mut run = dmp
            .command()
            .args([verb, "--yes", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dmp starts");
        let mut lines = BufReader::new(run.stdout.take().expect("it is piped")).lines();
        let mut events: Vec<Json> = Vec::new();
        let mut read = |events: &mut Vec<Json>| {
            let line = lines.next()?.ok()?;
            events.extend(serde_json::from_str::<Json>(&line).ok());
            events.last().cloned()
        };
        let place = format!("{:?} {}", point.blow, point.name);
        loop {
            let Some(event) = read(&mut events) else {
                panic!("{place}: not met\n{}", told(&events));
            };
            if point.is_at(&event) {
                break;
            }
        }
        match point.then {
            Then::Nothing => {}
            Then::Process(hand, process) => {
                assert!(hand.sees(process), "{place}: no {process} on {}", hand.name);
            }
            Then::Silence(plane) => {
                let _ = plane.run("kill -STOP $servers");
            }
        }
        std::thread::sleep(Duration::from_millis(point.after));
        match point.blow {
            Blow::Kill => run.kill().expect("it lives"),
            Blow::Cut => {
                let cut: usize = self.hands.iter().map(Hand::cut).sum();
                assert!(cut > 0, "{place}: there was no session");
            }
        }
        if let Then::Silence(plane) = point.then {
            std::thread::sleep(Duration::from_millis(300));
            let _ = plane.run("kill -CONT $servers");
        }
        then();
        while read(&mut events).is_some() {}
        let status = run.wait().expect("it ends");
        let mut outcome = String::new();
        if point.blow == Blow::Kill {
            assert_eq!(status.code(), None, "{place}: ended with {status}");
            let again = dmp.run([verb, "--yes", "--json"]);
            let after = events_of(&again.stdout);
            assert_eq!(again.code, Some(0), "{place}: {}", told(&after));
            let settled = after.iter().find(|event| {
                event["event"] == "settled"
                    && event["address"]
                        .as_str()
                        .is_some_and(|address| address.contains(point.address))
            });
            assert!(
                settled.is_some() || !point.is_open,
                "{place}: it was recorded before\n{}",
                told(&after)
            );
            if let Some(said) = settled.and_then(|event| event["outcome"].as_str()) {
                outcome = format!("; the next run: {said}");
            }
            // The run before may have heard of its end in the moment of the kill.
            let count = point.count(&after);
            assert!(!point.is_once || count == 0, "{place}: done again");
        } else {
            assert!(status.success(), "{place}: {status}\n{}", told(&events));
            outcome.push_str("; the run went on");
            let count = point.count(&events);
            assert!(!point.is_once || count == 1, "{place}: done {count} times");
        }
        let verified = dmp.run(["state", "verify"]).success();
        assert!(
            verified.stdout.contains(" 0 open intents"),
            "{place}: {}",
            verified.stdout
        );
        match verb {
            "destroy" => {
                let listed = dmp.run(["state", "list"]).success();
                assert_eq!(listed.stdout, "", "{place}: something is left");
            }
            _ => {
                let plan = dmp.run(["plan", "--detailed-exitcode"]);
                assert_eq!(plan.code, Some(0), "{place}: {}", plan.stdout);
            }
        }
        let mut struck = self.struck.get();
        struck[usize::from(point.blow == Blow::Cut)] += 1;
        self.struck.set(struck);
        println!(
            "{:3}  {place}{outcome} ({:.1} s)",
            struck[0] + struck[1],
            start.elapsed().as_secs_f64()
        );
    }

    /// Strikes the stack itself; its cluster has so many nodes then.
    fn strike_stack(&self, verb: &str, nodes: usize, point: &Point<'_>) {
        self.strike(&self.stack.dmp, verb, point, || {});
        if nodes > 0 {
            let found = self.stack.kubectl("get nodes -o name");
            assert_eq!(found.lines().count(), nodes, "{}: {found}", point.name);
        }
    }
}

fn events_of(text: &str) -> Vec<Json> {
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn told(events: &[Json]) -> String {
    let last = events.iter().rev().take(25).rev();
    last.map(|event| format!("{event}\n")).collect()
}

const APT: &str = "dpkg .*--unpack";
const PURGE: &str = "dpkg .*--purge";

/// Runs a trial on bare machines, prints the points, and says how many were kills and cuts.
fn points(of: impl FnOnce(&Trial<'_>)) -> [usize; 2] {
    let lab = Lab::of_this_suite();
    let stack = Stack::of_example(&lab);
    let hands: Vec<Hand> = stack
        .machines
        .iter()
        .map(|machine| Hand::on(&stack, machine))
        .collect();
    let trial = Trial {
        stack: &stack,
        hands: &hands,
        struck: Cell::default(),
    };
    let start = Instant::now();
    of(&trial);
    let [kills, cuts] = trial.struck.get();
    println!(
        "{kills} kills and {cuts} cuts in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    [kills, cuts]
}

#[test]
#[ignore = "needs a lab: cargo xtask live cluster"]
fn killed_or_cut_at_named_points_of_machines_the_work_comes_to_its_end() {
    let struck = points(|trial| {
        trial.a_cluster_alone();
        trial.a_worker_comes_and_goes();
    });
    assert_eq!(struck, [11, 7]);
}

#[test]
#[ignore = "needs a lab: cargo xtask live cluster"]
fn killed_or_cut_at_named_points_of_manifests_the_work_comes_to_its_end() {
    let struck = points(|trial| {
        let _ = trial.stack.dmp.run(["apply", "--yes"]).success();
        trial.manifests_through_a_machine();
    });
    assert_eq!(struck, [5, 5]);
}

impl Trial<'_> {
    /// A control plane is made and unmade, without a network or pods; the last one stays.
    fn a_cluster_alone(&self) {
        let plane = &self.hands[0];
        let folder = self.stack.dmp.folder();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
        let (main, outputs) = (read("main.hcl"), read("outputs.hcl"));
        self.stack.alone();
        let install = ("host_package", "install");
        let purge = ("host_package", "purge");
        let init = ("kubeadm_cluster", "begin the cluster");
        let reset = ("kubeadm_cluster", "reset");
        let (kill, cut) = (Blow::Kill, Blow::Cut);
        for (verb, point) in [
            (
                "apply",
                Point::inside("inside apt-get install", install, (plane, APT), kill),
            ),
            (
                "destroy",
                Point::inside(
                    "inside kubeadm reset of the control plane",
                    reset,
                    (plane, "kubeadm reset"),
                    kill,
                ),
            ),
            (
                "apply",
                Point::inside("inside kubeadm init", init, (plane, "kubeadm init"), cut)
                    .later(1_500),
            ),
            (
                "destroy",
                Point::inside("inside apt-get purge", purge, (plane, PURGE), cut),
            ),
            (
                "apply",
                Point::inside("inside kubeadm init", init, (plane, "kubeadm init"), kill)
                    .later(1_500),
            ),
        ] {
            self.strike_stack(verb, usize::from(verb == "apply"), &point);
        }
        self.stack.dmp.write("main.hcl", main);
        self.stack.dmp.write("outputs.hcl", outputs);
    }

    /// The rest of the example, and a second worker that comes and goes.
    fn a_worker_comes_and_goes(&self) {
        let [plane, _, worker] = self.hands else {
            panic!("three machines");
        };
        let (kill, cut) = (Blow::Kill, Blow::Cut);
        self.stack.want_workers(1);
        let daemon = ("k8s_manifest.daemon", "apply DaemonSet");
        let point = Point::unanswered("inside an apply of a DaemonSet", daemon, plane, kill);
        self.strike_stack("apply", 2, &point);
        self.stack.web_answers();

        let node = |title| ("kubeadm_node", title);
        let install = ("host_package", "install");
        let purge = ("host_package", "purge");
        let join = (worker, "kubeadm join");
        let drain = (plane, "kubectl drain");
        let reset = (worker, "kubeadm reset");
        let pairs = [
            (
                Point::inside("inside kubeadm join", node("join the cluster"), join, kill),
                Point::inside("inside a drain", node("drain"), drain, kill).again(),
            ),
            (
                Point::inside("inside apt-get install", install, (worker, APT), cut),
                Point::inside("inside a drain", node("drain"), drain, cut),
            ),
            (
                Point::inside("inside kubeadm join", node("join the cluster"), join, cut),
                Point::inside("inside a leave", node("reset the machine"), reset, kill),
            ),
            (
                Point::behind(
                    "between a join and its record",
                    node("set labels and taints"),
                    kill,
                ),
                Point::inside("inside a leave", node("reset the machine"), reset, cut),
            ),
            (
                Point::behind(
                    "between a token and its join",
                    node("mint a join token"),
                    kill,
                ),
                Point::behind(
                    "between a leave and its record",
                    node("reset the machine"),
                    kill,
                ),
            ),
            (
                Point::behind(
                    "between a token and its join",
                    node("mint a join token"),
                    cut,
                ),
                Point::inside("inside apt-get purge", purge, (worker, PURGE), kill),
            ),
        ];
        for (coming, going) in pairs {
            self.stack.want_workers(2);
            self.strike_stack("apply", 3, &coming);
            self.stack.want_workers(1);
            self.strike_stack("apply", 2, &going);
        }
        self.stack.web_answers();
    }

    /// A second stack, which reaches the API through the control plane's SSH server.
    fn manifests_through_a_machine(&self) {
        let (stack, plane) = (self.stack, &self.hands[0]);
        let dmp = Dmp::new(&stack.lab);
        let kubeconfig = stack.dmp.run(["output", "--raw", "kubeconfig"]).success();
        dmp.write("kubeconfig", kubeconfig.stdout);
        let machine = &stack.machines[0];
        let head = THROUGH_A_MACHINE
            .replace("ADDRESS", machine.address())
            .replace("USER", machine.user())
            .replace("HOSTKEY", &machine.host_key())
            .replace("KEY", &machine.key().display().to_string());
        let want = |parts: &[String]| dmp.write("main.hcl", format!("{head}{}", parts.join("")));
        let image = format!("{}/web:1", stack.lab.value("images"));
        let settings = |text: &str| SETTINGS.replace("TEXT", text);
        let work = |text: &str| WORK.replace("TEXT", text).replace("IMAGE", &image);
        let strike = |point: &Point<'_>| self.strike(&dmp, "apply", point, || {});
        let applied = || {
            let _ = dmp.run(["apply", "--yes"]).success();
        };
        for blow in [Blow::Kill, Blow::Cut] {
            let text = format!("{blow:?}");
            let apply = ("k8s_manifest.settings", "apply");
            want(&[settings("first")]);
            applied();
            want(&[settings(&text)]);
            strike(&Point::unanswered(
                "inside an apply of a manifest",
                apply,
                plane,
                blow,
            ));
            let found = stack.kubectl("get configmap settings -o jsonpath={.data.text}");
            assert_eq!(found, text);

            want(&[settings(&text), work(&text)]);
            let rollout = ("k8s_manifest.work", "pods are ready");
            strike(&Point::call("inside a wait for a rollout", rollout, blow).later(200));
            // A rollout goes on by itself; the run after a kill does not wait for it.
            let _ = stack.kubectl("wait --for=condition=Available deployment/work --timeout=60s");
            let found = stack.kubectl(
                "get deployment work -o jsonpath={.metadata.generation}{.status.readyReplicas}",
            );
            assert_eq!(found, "11", "applied once, and its pod is ready");

            want(&[HELD.to_owned()]);
            let delete = ("k8s_manifest.settings", "delete");
            strike(&Point::unanswered(
                "inside a delete of a manifest",
                delete,
                plane,
                blow,
            ));

            want(&[]);
            let gone = ("k8s_manifest.held", "is gone");
            let point = Point::call("inside a wait for a delete", gone, blow).later(200);
            self.strike(&dmp, "apply", &point, || {
                let _ = stack.kubectl(
                    r#"patch configmap held --type=merge -p '{"metadata":{"finalizers":null}}'"#,
                );
            });

            plane.run("rm -f /run/batches");
            want(&[BATCHES.to_owned(), settings("between")]);
            let between = Point {
                event: "operation_ended",
                is_open: false,
                ..Point::call(
                    "between two batches of one machine",
                    ("host_command.first", ""),
                    blow,
                )
            };
            strike(&between);
            let ran = plane.run("tr '\n' ' ' </run/batches; echo");
            assert_eq!(ran, "first second ", "each batch ran once");
            let _ = dmp.run(["destroy", "--yes"]).success();
        }
    }
}

const THROUGH_A_MACHINE: &str = r#"
provider "kubernetes" {
  kubeconfig = file("${path.root}/kubeconfig")
  via        = { address = "ADDRESS", user = "USER", key_file = "KEY" }
}

resource "host" "box" {
  address  = "ADDRESS"
  user     = "USER"
  key_file = "KEY"
  host_key = "HOSTKEY"
}
"#;

const SETTINGS: &str = r#"
resource "k8s_manifest" "settings" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "settings", namespace = "default" }
    data       = { text = "TEXT" }
  }
}
"#;

const WORK: &str = r#"
resource "k8s_manifest" "work" {
  manifest = {
    apiVersion = "apps/v1"
    kind       = "Deployment"
    metadata   = { name = "work", namespace = "default" }
    spec = {
      selector = { matchLabels = { app = "work" } }
      template = {
        metadata = { labels = { app = "work" } }
        spec = {
          terminationGracePeriodSeconds = 0
          containers = [{
            name           = "work"
            image          = "IMAGE"
            env            = [{ name = "GREETING", value = "TEXT" }]
            readinessProbe = { httpGet = { path = "/", port = 8080 }, initialDelaySeconds = 3, periodSeconds = 1 }
          }]
        }
      }
    }
  }
}
"#;

const HELD: &str = r#"
resource "k8s_manifest" "held" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "held", namespace = "default", finalizers = ["example.org/held"] }
  }
}
"#;

const BATCHES: &str = r#"
resource "host_command" "first" {
  host   = host.box.connection
  create = "echo first >>/run/batches"
}

resource "k8s_manifest" "between" {
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "between", namespace = "default" }
  }
  depends_on = [host_command.first]
}

resource "host_command" "second" {
  host       = host.box.connection
  create     = "echo second >>/run/batches"
  depends_on = [k8s_manifest.between]
}
"#;
