//! Secrets of a real cluster are where `docs/operations/secrets.md` says, and nowhere else: a Kubernetes Secret, the
//! kubeconfig and the cluster's private keys are looked for in each output and file of dmp, in the machines' files and in
//! the arguments of every process that the machines' SSH servers start, in all forms that programs write a text in.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmp_live::{Lab, Machine, Outcome};
use dmp_testkit::Canary;

use super::Stack;

/// Quotes, percent and a letter beyond ASCII: each form of it is another text.
const PASSWORD: &str = "Ka\"na'rie%&$x/<ü>-2b8e0d";

const SECRETS: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}

variable "broken" {
  type    = string
  default = "no"
}

resource "k8s_manifest" "password" {
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata = {
      name      = "password"
      namespace = "default"
      labels    = { for name in (var.broken == "plan" ? ["note"] : []) : name => var.password }
    }
    data = { password = base64encode(var.password) }
  }
}

# Its namespace is made in the same run: what is wrong with it shows when it is applied.
resource "k8s_manifest" "space" {
  count    = var.broken == "apply" ? 1 : 0
  manifest = { apiVersion = "v1", kind = "Namespace", metadata = { name = "late" } }
}

resource "k8s_manifest" "late" {
  count = var.broken == "apply" ? 1 : 0
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "late", namespace = "late", labels = { note = var.password } }
    data       = { password = base64encode(var.password) }
  }
  depends_on = [k8s_manifest.space]
}

output "password" {
  value     = var.password
  sensitive = true
}
"#;

/// Notes the arguments of every process that a machine's SSH server and its sessions start, from outside of the machine.
struct Trace {
    strace: Child,
    file: PathBuf,
}

impl Trace {
    fn of(machine: &Machine, folder: &Path) -> Self {
        let file = folder.join(machine.name());
        let server = machine.ssh_server();
        let strace = Command::new("strace")
            .args(["-f", "-e", "trace=execve", "-s", "1000000", "-xx", "-o"])
            .arg(&file)
            .args(["-p", &server.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .expect("strace starts");
        let until = Instant::now() + Duration::from_secs(10);
        let is_traced = || {
            let status = std::fs::read_to_string(format!("/proc/{server}/status"));
            !status.expect("it lives").contains("TracerPid:\t0\n")
        };
        while !is_traced() {
            assert!(Instant::now() < until, "it can be traced");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { strace, file }
    }

    fn arguments(&self) -> Vec<u8> {
        let trace = std::fs::read_to_string(&self.file).expect("it is traced");
        dmp_testkit::traced_arguments(&trace)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // It lets go of what it traces; killed it would not.
        dmp_testkit::kill(self.strace.id(), "TERM");
        let _ = self.strace.wait();
    }
}

/// A stack with a secret, and what looks for it.
struct Search {
    // Before the machines go the traces have to.
    traces: Vec<Trace>,
    _folder: tempfile::TempDir,
    stack: Stack,
    canaries: Vec<Canary>,
    said: Vec<(String, Outcome)>,
}

impl Search {
    /// Runs dmp with the password in its environment, and looks for everything secret that there is by now.
    fn run(&mut self, words: &[&str]) -> Outcome {
        let environment = [
            ("DMP_VAR_password", PASSWORD),
            ("RUST_BACKTRACE", "full"),
            ("DMP_LOG", "trace"),
        ];
        let ran = self.stack.dmp.run_with(words, &environment);
        let name = words.join(" ");
        self.outputs(&name, &ran, &self.canaries);
        self.files(&name, &self.canaries);
        self.said.push((name, ran.clone()));
        ran
    }

    fn outputs(&self, name: &str, ran: &Outcome, canaries: &[Canary]) {
        for (canary, text) in canaries
            .iter()
            .flat_map(|canary| [(canary, &ran.stdout), (canary, &ran.stderr)])
        {
            let found = canary.found_in(text.as_bytes());
            assert!(found.is_empty(), "`{name}` prints it {found:?}:\n{text}");
        }
    }

    /// The state, its log of pages, saved plans, run logs and pages: nothing of them has it in plain.
    fn files(&self, name: &str, canaries: &[Canary]) {
        for canary in canaries {
            let found = canary.found_below(self.stack.dmp.home());
            assert!(found.is_empty(), "after `{name}`: {found:?}");
        }
    }

    /// Now that the cluster's keys are there, what was said before is searched for them too.
    fn keys_are_known(&mut self) {
        let keys = self.stack.keys();
        for (name, ran) in &self.said {
            self.outputs(name, ran, &keys);
        }
        self.files("apply", &keys);
        self.canaries.extend(keys);
    }

    /// No process of a session has a secret among its arguments, nor a token with which one may join.
    fn arguments(&self) -> usize {
        let mut processes = 0;
        for trace in &self.traces {
            let arguments = trace.arguments();
            for canary in &self.canaries {
                let found = canary.found_in(&arguments);
                assert!(found.is_empty(), "{}: {found:?}", trace.file.display());
            }
            let token = tokens(&arguments);
            assert!(token.is_empty(), "{}: {token:?}", trace.file.display());
            processes += arguments.split(|byte| *byte == b'\n').count();
        }
        processes
    }

    /// On the machines there are keys only where kubeadm puts them, and the password in etcd alone; the API server's log
    /// quotes what the server has refused, if it has.
    fn machines(&self, has_refused: bool) {
        let is_servers_log = |path: &Path| {
            let path = path.display().to_string();
            path.contains("/var/log/pods/kube-system_kube-apiserver-")
        };
        for (number, machine) in self.stack.machines.iter().enumerate() {
            for folder in ["/etc", "/home", "/root", "/tmp", "/var/lib/dmp", "/var/log"] {
                let at = machine.file(folder);
                if !at.exists() {
                    continue;
                }
                for canary in &self.canaries {
                    let kept = machine.file("/etc/kubernetes");
                    let found: Vec<_> = canary
                        .found_below(&at)
                        .into_iter()
                        .filter(|(path, _)| number != 0 || !path.starts_with(&kept))
                        .filter(|(path, _)| !has_refused || !is_servers_log(path))
                        .collect();
                    assert!(found.is_empty(), "{}: {found:?}", machine.name());
                }
            }
        }
    }
}

/// What looks like one of kubeadm's tokens: six signs, a dot, sixteen signs.
fn tokens(arguments: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(arguments);
    let is_sign = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit();
    let words = text.split(|sign: char| !is_sign(sign) && sign != '.');
    let is_token = |word: &&str| {
        word.split_once('.').is_some_and(|(id, secret)| {
            id.len() == 6 && secret.len() == 16 && secret.chars().all(is_sign)
        })
    };
    words.filter(is_token).map(ToOwned::to_owned).collect()
}

#[test]
#[ignore = "needs a lab: cargo xtask live cluster"]
fn a_secret_of_a_cluster_is_nowhere_but_where_it_belongs() {
    let lab = Lab::of_this_suite();
    let stack = Stack::of_example(&lab);
    let main = std::fs::read_to_string(stack.dmp.folder().join("main.hcl")).expect("is there");
    stack.dmp.write("main.hcl", format!("{main}{SECRETS}"));
    let folder = tempfile::tempdir().expect("writable");
    let traces = stack.machines[..2].iter();
    let traces = traces.map(|machine| Trace::of(machine, folder.path()));
    let mut search = Search {
        traces: traces.collect(),
        _folder: folder,
        canaries: vec![Canary::new(PASSWORD)],
        said: Vec::new(),
        stack,
    };

    for words in [
        ["plan"].as_slice(),
        &["plan", "--json"],
        &["plan", "--out", "kept.plan"],
        &["show", "kept.plan"],
        &["show", "kept.plan", "--json"],
        &["apply", "--verbose", "--timeline", "kept.plan"],
    ] {
        let ran = search.run(words).success();
        if words[0] == "apply" {
            println!("an apply under watch: {:.1} s", ran.time.as_secs_f64());
        }
    }
    // It did arrive.
    let there = search
        .stack
        .kubectl("get secret password -o jsonpath={.data.password} | base64 -d");
    assert_eq!(there, PASSWORD);
    let etcd = search.stack.machines[0].file("/var/lib/etcd");
    let found = search.canaries[0].found_below(&etcd);
    assert!(!found.is_empty(), "files of machines are seen");
    search.keys_are_known();
    let processes = search.arguments();
    println!("{processes} processes were started on the machines");
    let seen = String::from_utf8_lossy(&search.traces[0].arguments()).into_owned();
    assert!(seen.contains("kubeadm init"), "processes are seen");
    search.machines(false);

    for words in [
        ["show", "--json"].as_slice(),
        &["show"],
        &["output"],
        &["output", "--json"],
        &["state", "list"],
        &["state", "show", "k8s_manifest.password"],
        &["state", "show", "k8s_manifest.password", "--json"],
        &["state", "show", "module.cluster.kubeadm_cluster.this"],
        &["state", "export"],
        &["state", "verify"],
        &["graph"],
        &["console", "--eval", "k8s_manifest.password"],
        &["console", "--eval", "module.cluster.kubeconfig"],
        &["refresh"],
        &["rebuild", "--dry-run"],
        &["plan", "--json"],
        &["apply", "--yes", "--json"],
    ] {
        let _ = search.run(words).success();
    }

    // The server's sentence quotes what it refuses.
    for broken in ["plan", "apply"] {
        let broken = format!("broken={broken}");
        let ran = search.run(&["apply", "--yes", "--var", &broken]);
        assert_ne!(ran.code, Some(0), "{broken}: {}", ran.stderr);
        let told = ran.stderr.contains("metadata.labels") && ran.stderr.contains("(sensitive)");
        assert!(told, "{broken}: {}", ran.stderr);
    }

    // What somebody changed is shown without either value.
    let patch = r#"patch secret password --type=merge -p '{"data":{"password":"dGhlaXJz"}}'"#;
    let _ = search.stack.kubectl(patch);
    let drifted = search.run(&["plan", "--detailed-exitcode"]).expect_code(2);
    assert!(drifted.stdout.contains("k8s_manifest.password"));
    let _ = search.run(&["apply", "--yes"]).success();

    // A run that is killed leaves pages of the state beside it.
    let mut killed = search
        .stack
        .dmp
        .command()
        .args(["destroy", "--yes"])
        .env("DMP_VAR_password", PASSWORD)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dmp starts");
    std::thread::sleep(Duration::from_secs(2));
    let _ = (killed.kill(), killed.wait());
    search.files("killed", &search.canaries);
    search.machines(true);
    let _ = search.run(&["destroy", "--yes"]).success();
    let processes = search.arguments();
    println!("{processes} processes were started in the end");
}
