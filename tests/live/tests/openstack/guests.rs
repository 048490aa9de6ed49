//! Servers that are real guests under qemu: the example `quickstart`, from nothing to a page that answers from behind the balancer,
//! with machines that dmp configures by SSH. Their addresses answer only in the namespaces of that cloud, so all is run there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// How long what an emulated guest does may take, on two processors with other work.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long an emulated machine may take to boot, in seconds: a stack says so, since it is more than dmp waits by itself.
const BOOT_SECONDS: u32 = 2400;

const WEBS: usize = 2;

fn told(name: &str) -> String {
    let value = std::env::var(name);
    value.unwrap_or_else(|_| panic!("{name}: started by `cargo xtask live openstack`"))
}

fn site() -> String {
    format!(
        r#"kind = "openstack"
webs = {WEBS}
openstack = {{
  image            = "{}"
  flavor           = "guest.small"
  external_network = "external"
}}
site = {{
  ssh_port     = 22
  inside       = "10.20.0.0/24"
  nameservers  = ["{}"]
  boot_seconds = {BOOT_SECONDS}
}}
"#,
        told("DMP_LIVE_GUEST_IMAGE"),
        told("DMP_LIVE_GATEWAY")
    )
}

/// The example with the modules that it calls, in a folder of its own.
struct Quickstart(tempfile::TempDir);

impl Quickstart {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for part in ["modules", "examples/quickstart"] {
            copy(&root.join(part), &home.path().join(part));
        }
        let values = home.path().join("examples/quickstart/site.auto.hcl");
        fs::write(values, site()).expect("it can be written");
        Self(home)
    }

    /// A command where the guests answer.
    fn enter(&self, program: &str) -> Command {
        let home = self.0.path().display();
        let mut command = Command::new(told("DMP_LIVE_CLOUD"));
        command
            .args(["--guests", "enter", "env", "-i"])
            .arg(format!("--chdir={home}"))
            .arg(format!("HOME={home}"))
            .arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(format!("OS_CLIENT_CONFIG_FILE={}", told("DMP_LIVE_CLOUDS")))
            .arg("OS_CLOUD=member")
            .arg(program);
        command
    }

    fn dmp(&self, words: &[&str]) -> Output {
        let mut command = self.enter(&told("DMP_LIVE_BINARY"));
        command.args(["-C", "examples/quickstart"]).args(words);
        let begun = Instant::now();
        let output = command.output().expect("it starts");
        println!(
            "dmp {}: {:.0} s",
            words.join(" "),
            begun.elapsed().as_secs_f64()
        );
        output
    }

    fn ends(&self, words: &[&str]) -> String {
        let output = self.dmp(words);
        assert!(output.status.success(), "{}", shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Plans that nothing is to do. A plan does not wait for machines, and emulated ones may be too busy for a word within ten seconds:
    /// then it is asked for once more.
    fn has_nothing_to_do(&self) {
        let begun = Instant::now();
        loop {
            let output = self.dmp(&["plan", "--detailed-exitcode"]);
            let said = shown(&output);
            if output.status.success() {
                assert!(said.contains("Nothing to do"), "{said}");
                return;
            }
            let is_busy =
                said.contains("no SSH server answers within") && begun.elapsed() < PATIENCE;
            assert!(is_busy, "{said}");
        }
    }

    fn openstack(&self, words: &[&str]) -> String {
        let output = self.enter("openstack").args(words).output();
        let output = output.expect("it starts");
        assert!(output.status.success(), "{}", shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Who has answered a visitor from outside, in several requests to the balancer's address.
    fn served_by(&self) -> BTreeSet<String> {
        let url = self.ends(&["output", "--raw", "url"]);
        let ask = |_| {
            let mut curl = self.enter("curl");
            let output = curl.args(["-fsS", "--max-time", "20", url.trim()]).output();
            let page = String::from_utf8_lossy(&output.expect("it starts").stdout).into_owned();
            Some(page.trim().strip_prefix("hello from ")?.to_owned())
        };
        (0..WEBS * 3).filter_map(ask).collect()
    }

    /// Waits until these serve the page, and no others.
    fn until_served_by(&self, names: &[&str]) {
        let names: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
        let begun = Instant::now();
        loop {
            let now = self.served_by();
            if now == names {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{now:?} and not {names:?}");
            thread::sleep(Duration::from_secs(2));
        }
    }
}

fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let name = entry.file_name();
        let (from, to) = (entry.path(), to.join(&name));
        match from.is_dir() {
            true if name == ".dmp" => {}
            true => copy(&from, &to),
            false => drop(fs::copy(from, to).expect("copies")),
        }
    }
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn the_quickstart_comes_up_on_real_guests_repairs_itself_and_goes_again() {
    let stack = Quickstart::new();
    stack.ends(&["apply", "--yes"]);
    stack.until_served_by(&["web-1", "web-2"]);
    stack.has_nothing_to_do();
    // Nobody but the bastion leads inside, to a whole system of its own.
    let web = "module.web.module.machine[\"2\"].host.this";
    let look = "hostname; . /etc/os-release; echo $ID; systemctl is-active nginx";
    let inside = stack.ends(&["ssh", web, "--", look]);
    assert_eq!(inside, "web-2\ndebian\nactive\n");

    // One is switched off by a stranger: the others serve, and the next apply switches it on again.
    stack.openstack(&["server", "stop", "web-2"]);
    stack.until_served_by(&["web-1"]);
    stack.ends(&["apply", "--yes"]);
    stack.until_served_by(&["web-1", "web-2"]);

    stack.ends(&["destroy", "--yes"]);
    for what in ["server", "router", "floating ip", "port"] {
        let words: Vec<&str> = what.split(' ').chain(["list", "-f", "value"]).collect();
        assert_eq!(stack.openstack(&words).trim(), "", "{what}");
    }
    let networks = stack.openstack(&["network", "list", "-f", "value", "-c", "Name"]);
    assert_eq!(networks.trim(), "external");
}
