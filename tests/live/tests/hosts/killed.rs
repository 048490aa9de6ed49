//! dmp killed at each of its places and at the beginning of each step, while packages, a service, kernel settings and a
//! module are made and removed: the next run goes on, and nothing is done twice.

use std::io::{BufRead, BufReader};
use std::process::{ExitStatus, Stdio};

use dmp_live::{Dmp, Lab, Machine};

use crate::alone::{host, may_stay};

const STACK: &str = r#"
resource "host_package" "tools" {
  host  = host.box.connection
  names = ["hello", "tree"]
  hold  = true
}

resource "host_kernel_module" "overlay" {
  host    = host.box.connection
  name    = "overlay"
  options = "metacopy=off"
}

resource "host_sysctl" "router" {
  host     = host.box.connection
  name     = "90-router"
  settings = { "net.ipv4.ip_forward" = 1 }
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

  depends_on = [host_package.tools, host_sysctl.router]
}
"#;

/// Where dmp is killed.
#[derive(Clone, Copy)]
enum At {
    /// At the pass of this number of a named place.
    Place(u32),
    /// When the step of this number has begun on the machine.
    Step(u32),
}

struct Site {
    lab: Lab,
    dmp: Dmp,
    machine: Machine,
}

impl Site {
    /// Runs dmp until it is killed; `None` if it went to its end before.
    fn killed(&self, verb: &str, at: At) -> Option<()> {
        let killable = self.lab.value("killable");
        let mut command = self.dmp.command_of(killable.as_ref());
        command.args([verb, "--yes", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        if let At::Place(number) = at {
            command.env("DMP_FAIL_AT", format!("*:{number}"));
        }
        let mut run = command.spawn().expect("dmp starts");
        let lines = BufReader::new(run.stdout.take().expect("it is piped")).lines();
        let mut steps = 0;
        for line in lines.map_while(Result::ok) {
            if line.contains("\"step_started\"") {
                steps += 1;
            }
            if matches!(at, At::Step(number) if number == steps) {
                // SIGKILL, and with it all that dmp has here; what runs on the machine runs on.
                let _ = run.kill();
                break;
            }
        }
        let status: ExitStatus = run.wait().expect("it ends");
        assert!(
            status.success() || status.code().is_none(),
            "{verb} ended with {status}"
        );
        status.code().is_none().then_some(())
    }

    fn is_applied(&self, at: &str) {
        let _ = self.dmp.run(["apply", "--yes"]).success();
        self.machine.ssh(
            "set -e
             [ \"$(apt-mark showhold | tr '\\n' ' ')\" = 'hello tree ' ]
             [ \"$(cat /proc/sys/net/ipv4/ip_forward)\" = 1 ]
             grep -qx overlay /etc/modules-load.d/dmp-overlay.conf
             systemctl -q is-active ours; systemctl -q is-enabled ours",
        );
        let once = self
            .machine
            .ssh("grep -c ' install hello:' /var/log/dpkg.log; wc -l </run/ours");
        assert_eq!(once, "1\n1\n", "{at}: installed and started once");
        let plan = self.dmp.run(["plan", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(0), "{at}: {}", plan.stdout);
        self.is_settled(at, "5 instances, 0 open intents");
    }

    fn is_destroyed(&self, at: &str) {
        let _ = self.dmp.run(["destroy", "--yes"]).success();
        let once = self
            .machine
            .ssh("grep -c ' remove hello:' /var/log/dpkg.log");
        assert_eq!(once, "1\n", "{at}: removed once");
        self.is_settled(at, "0 instances, 0 open intents");
        self.machine
            .ssh("sudo rm -f /run/ours; sudo truncate -s 0 /var/log/dpkg.log");
    }

    fn is_settled(&self, at: &str, words: &str) {
        let verified = self.dmp.run(["state", "verify"]).success();
        assert!(verified.stdout.contains(words), "{at}: {}", verified.stdout);
    }
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn killed_at_each_place_and_step_the_next_run_goes_on_and_does_nothing_twice() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);
    machine.ssh("sudo apt-get -qq update; sudo truncate -s 0 /var/log/dpkg.log");
    let before = machine.snapshot();
    let dmp = Dmp::new(&lab);
    dmp.write("main.hcl", format!("{}{STACK}", host(&machine)));
    let site = Site { lab, dmp, machine };
    for (kind, most) in [("place", 60), ("step", 30)] {
        let (mut applies, mut destroys) = (0, 0);
        for number in 1..most {
            let at = match kind {
                "place" => At::Place(number),
                _ => At::Step(number),
            };
            let apply = site.killed("apply", at);
            site.is_applied(&format!("apply killed at {kind} {number}"));
            let destroy = site.killed("destroy", at);
            site.is_destroyed(&format!("destroy killed at {kind} {number}"));
            applies += usize::from(apply.is_some());
            destroys += usize::from(destroy.is_some());
            if apply.is_none() && destroy.is_none() {
                break;
            }
        }
        println!("killed at {applies} {kind}s of an apply and {destroys} of a destroy");
        assert!(applies > 3 && destroys > 3, "there are more {kind}s");
    }
    let differences = before
        .without(may_stay)
        .differences(&site.machine.snapshot().without(may_stay));
    assert_eq!(differences, [""; 0], "left on the machine");
}
