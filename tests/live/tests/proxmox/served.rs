//! A lab of dmp's that is served in the live lab's network, its API by curl, and its machines by SSH.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dmp_live::Lab;
use serde_json::Value;

/// The host's address on the bridge of the lab's machines.
pub(super) const GATEWAY: &str = "10.89.0.1";

/// The address of a machine.
pub(super) fn at(number: u8) -> String {
    format!("10.89.0.{number}")
}

/// How long a machine may take to boot, on a host with other work.
const PATIENCE: Duration = Duration::from_secs(90);

/// A lab of dmp's, until the value goes.
pub(super) struct Served {
    pub lab: Lab,
    pub folder: PathBuf,
    process: Child,
    more: Vec<String>,
    patience: Duration,
    keys: tempfile::TempDir,
    _home: tempfile::TempDir,
}

impl Served {
    /// A lab whose template `debian-13` is the live lab's own image of a machine.
    pub(super) fn begin() -> Served {
        let image = Lab::of_this_suite().value("image").to_owned();
        Served::with(&[("--root", &format!("debian-13={image}"))])
    }

    /// A lab with these words on its command line.
    pub(super) fn with(more: &[(&str, &str)]) -> Served {
        Served::under(&[], more)
    }

    /// A lab that is started by another command.
    pub(super) fn under(by: &[&str], more: &[(&str, &str)]) -> Served {
        let lab = Lab::of_this_suite();
        // Not in the usual place for such folders, which may be on an overlay or in memory.
        let home = tempfile::Builder::new()
            .prefix("dmp-lab-")
            .tempdir_in(lab.value("cache"))
            .expect("a folder");
        let keys = tempfile::tempdir().expect("a folder");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(keys.path().join("key"))
            .status();
        assert!(made.expect("ssh-keygen").success());
        let folder = home.path().join("lab");
        let more: Vec<String> = more
            .iter()
            .flat_map(|(option, value)| [(*option).to_owned(), (*value).to_owned()])
            .collect();
        let process = serve(&lab, &folder, by, &more);
        Served {
            lab,
            folder,
            process,
            more,
            patience: PATIENCE,
            keys,
            _home: home,
        }
    }

    /// Gives tasks and machines so much time.
    pub(super) fn patient(mut self, patience: Duration) -> Served {
        self.patience = patience;
        self
    }

    /// Leaves a word out of the command line from now on, with its value.
    pub(super) fn forget(&mut self, option: &str) {
        while let Some(at) = self.more.iter().position(|word| word == option) {
            self.more.drain(at..=at + 1);
        }
    }

    /// Cuts the power of the lab itself.
    pub(super) fn kill(&mut self) {
        let written = std::fs::read_to_string(self.folder.join("lab.json")).expect("it is served");
        let written: Value = serde_json::from_str(&written).expect("JSON");
        let pid = i32::try_from(written["pid"].as_i64().expect("a process")).expect("small");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was there");
        self.process.wait().expect("an end");
        let _ = std::fs::remove_file(self.folder.join("lab.json"));
    }

    /// Stops the lab in good order.
    pub(super) fn stop(&mut self) {
        self.command(&["stop"]);
        self.process.wait().expect("an end");
    }

    /// Serves again what was left.
    pub(super) fn take_up_again(&mut self) {
        self.process = serve(&self.lab, &self.folder, &[], &self.more);
    }

    pub(super) fn key(&self) -> PathBuf {
        self.keys.path().join("key")
    }

    /// Runs `dmp lab` with these words.
    pub(super) fn command(&self, words: &[&str]) -> String {
        let mut command = self.lab.enter(self.lab.binary());
        command.args(["lab", "--dir"]).arg(&self.folder).args(words);
        let output = command.output().expect("dmp runs");
        assert!(
            output.status.success(),
            "dmp lab {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(super) fn status(&self) -> Value {
        serde_json::from_str(&self.command(&["status", "--json"])).expect("JSON")
    }

    /// Returns what the status says of a machine.
    pub(super) fn machine(&self, name: &str) -> Value {
        let status = self.status();
        let machines = status["machines"].as_array().expect("machines");
        let found = machines.iter().find(|machine| machine["name"] == name);
        found.cloned().unwrap_or_default()
    }

    /// Returns where it is, and who may come in.
    pub(super) fn written(&self) -> Value {
        let text = std::fs::read_to_string(self.folder.join("lab.json")).expect("it is served");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Calls the API, and returns what comes, with its status.
    pub(super) fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let written = self.written();
        let word = |key: &str| written[key].as_str().unwrap_or_default().to_owned();
        let endpoint = written["endpoints"][0].as_str().expect("one").to_owned();
        let mut curl = self.lab.enter("curl");
        curl.args([
            "-s",
            "--max-time",
            "60",
            "-w",
            "\n%{http_code}",
            "-X",
            method,
        ])
        .args(["--cacert", &word("ca_file"), "-H"])
        .arg(format!("Authorization: PVEAPIToken={}", word("token")));
        for (name, value) in form {
            curl.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let output = curl
            .arg(format!("{endpoint}/api2/json{path}"))
            .output()
            .expect("curl runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = said.rsplit_once('\n').expect("a status");
        let value = serde_json::from_str(body).unwrap_or(Value::String(body.to_owned()));
        (code.parse().expect("a number"), value)
    }

    /// Calls the API, and returns what comes of a call that goes well.
    pub(super) fn data(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        let (code, value) = self.call(method, path, form);
        assert_eq!(code, 200, "{method} {path}: {value}");
        value["data"].clone()
    }

    /// Begins a task, and returns how it ends.
    pub(super) fn task(&self, method: &str, path: &str, form: &[(&str, &str)]) -> String {
        let upid = self.data(method, path, form);
        let path = format!(
            "/nodes/{}/tasks/{}/status",
            upid.as_str()
                .and_then(|upid| upid.split(':').nth(1))
                .expect("a node"),
            upid.as_str().expect("a task")
        );
        let until = Instant::now() + self.patience;
        loop {
            let told = self.data("GET", &path, &[]);
            if let Some(exit) = told["exitstatus"].as_str() {
                return exit.to_owned();
            }
            assert!(Instant::now() < until, "{path} does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Begins a task that ends well.
    pub(super) fn done(&self, method: &str, path: &str, form: &[(&str, &str)]) {
        assert_eq!(self.task(method, path, form), "OK", "{method} {path}");
    }

    /// Makes a guest of the template, and tells it of its user and its addresses.
    pub(super) fn guest(&self, vmid: u32, name: &str, settings: &[(&str, &str)]) {
        let id = vmid.to_string();
        let form = [("newid", id.as_str()), ("name", name), ("full", "1")];
        self.done("POST", "/nodes/pve1/qemu/9000/clone", &form);
        self.told(vmid, settings);
    }

    /// Tells a guest of its user and its addresses.
    pub(super) fn told(&self, vmid: u32, settings: &[(&str, &str)]) {
        let public = std::fs::read_to_string(self.key().with_extension("pub")).expect("a key");
        // The API wants this one encoded once more.
        let keys: String = public
            .trim()
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let usual = [
            ("ciuser", "debian"),
            ("sshkeys", keys.as_str()),
            ("memory", "512"),
        ];
        let form: Vec<_> = usual.into_iter().chain(settings.iter().copied()).collect();
        self.data("PUT", &format!("/nodes/pve1/qemu/{vmid}/config"), &form);
    }

    /// Makes a machine with one address, and waits until its system is up.
    pub(super) fn started(&self, vmid: u32, name: &str, number: u8) -> Machine<'_> {
        let network = format!("ip={}/24,gw={GATEWAY}", at(number));
        self.guest(vmid, name, &[("ipconfig0", &network)]);
        self.power(vmid, "start");
        let machine = self.known(&at(number));
        machine.is_up();
        machine
    }

    /// Has a guest started, stopped and so on.
    pub(super) fn power(&self, vmid: u32, what: &str) {
        self.done(
            "POST",
            &format!("/nodes/pve1/qemu/{vmid}/status/{what}"),
            &[],
        );
    }

    pub(super) fn known(&self, address: &str) -> Machine<'_> {
        Machine {
            served: self,
            address: address.to_owned(),
            user: "debian".to_owned(),
            port: 22,
        }
    }

    /// Waits until a guest is as it should be.
    pub(super) fn until(&self, vmid: u32, status: &str) {
        let path = format!("/nodes/pve1/qemu/{vmid}/status/current");
        let until = Instant::now() + self.patience;
        while self.data("GET", &path, &[])["status"] != status {
            assert!(Instant::now() < until, "{vmid} is not {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Served {
    /// The links in the live lab's network that are not its own, as `ip` shows them.
    pub(super) fn links(&self) -> Vec<String> {
        let links = self.lab.enter("ip").args(["-o", "link", "show"]).output();
        let links = String::from_utf8_lossy(&links.expect("it runs").stdout).into_owned();
        let names = links.lines().filter_map(|line| line.split(": ").nth(1));
        // `dl-` are those of a machine of the live lab, which may have been deleted just now.
        let others =
            names.filter(|name| !matches!(*name, "lo" | "lab0") && !name.starts_with("dl-"));
        others.map(str::to_owned).collect()
    }

    /// Takes away what a lab that was killed has left of networks, which the next test would otherwise have routes to.
    fn clear_links(&self) {
        for name in self.links() {
            let name = name.split('@').next().unwrap_or(&name);
            let _ = self.lab.enter("ip").args(["link", "delete", name]).output();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("serve.out")).unwrap_or_default();
            println!("the lab said: {log}");
            let mut command = self.lab.enter(self.lab.binary());
            command
                .args(["lab", "--dir"])
                .arg(&self.folder)
                .arg("status");
            if let Ok(output) = command.output() {
                println!("{}", String::from_utf8_lossy(&output.stdout));
            }
        }
        let mut command = self.lab.enter(self.lab.binary());
        command.args(["lab", "--dir"]).arg(&self.folder).arg("stop");
        let _ = command.output();
        let until = Instant::now() + Duration::from_secs(30);
        while self.process.try_wait().ok().flatten().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        if std::thread::panicking() {
            self.clear_links();
        }
    }
}

fn serve(lab: &Lab, folder: &Path, by: &[&str], more: &[String]) -> Child {
    std::fs::create_dir_all(folder).expect("a folder");
    let log = std::fs::File::create(folder.join("serve.out")).expect("a file");
    let errors = log.try_clone().expect("a file");
    let mut command = match by.split_first() {
        Some((first, rest)) => {
            let mut command = lab.enter(first);
            command.args(rest).arg(lab.binary());
            command
        }
        None => lab.enter(lab.binary()),
    };
    let network = format!("vmbr0={GATEWAY}/24");
    command
        .args([
            "lab",
            "serve",
            "--speed",
            "50",
            "--network",
            &network,
            "--dir",
        ])
        .arg(folder)
        .args(more)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    let mut process = command.spawn().expect("dmp starts");
    let until = Instant::now() + Duration::from_secs(30);
    while !folder.join("lab.json").exists() {
        let has_ended = process.try_wait().expect("a process").is_some();
        let log = std::fs::read_to_string(folder.join("serve.out")).unwrap_or_default();
        assert!(
            !has_ended && Instant::now() < until,
            "it is not served: {log}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    process
}

/// A machine as SSH reaches it.
pub(super) struct Machine<'a> {
    served: &'a Served,
    pub address: String,
    pub user: String,
    pub port: u16,
}

impl Machine<'_> {
    /// Runs a script by SSH, whatever comes of it. The host key is not looked at.
    pub(super) fn run(&self, script: &str) -> Output {
        self.run_with(
            &[
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ],
            script,
        )
    }

    pub(super) fn run_with(&self, options: &[&str], script: &str) -> Output {
        // An emulated one is slow to greet.
        let connect = format!("ConnectTimeout={}", self.served.patience.as_secs() / 30);
        let mut command = self.served.lab.enter("ssh");
        command
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
            .args(["-o", &connect, "-o", "IdentitiesOnly=yes", "-i"])
            .arg(self.served.key())
            .args(options)
            .args(["-p", &self.port.to_string()])
            .arg(format!("{}@{}", self.user, self.address))
            .arg(script)
            .stdin(Stdio::null());
        command.output().expect("ssh runs")
    }

    /// Runs a script that goes well, and returns what it prints.
    pub(super) fn ssh(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(
            output.status.success(),
            "`{script}` on {} ended with {}: {}{}",
            self.address,
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether it lets people in.
    pub(super) fn answers(&self) -> bool {
        self.run("true").status.success()
    }

    /// Waits until its system has booted, and all of that went well.
    pub(super) fn is_up(&self) {
        let until = Instant::now() + self.served.patience;
        while !self.answers() {
            assert!(Instant::now() < until, "{} is not reached", self.address);
            std::thread::sleep(Duration::from_millis(100));
        }
        let output = self.run("systemctl is-system-running --wait; systemctl --failed --no-legend");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.trim(), "running");
    }

    /// Waits until it lets nobody in any more.
    pub(super) fn is_silent(&self) {
        let until = Instant::now() + self.served.patience;
        while self.answers() {
            assert!(Instant::now() < until, "{} is still reached", self.address);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn boot_id(&self) -> String {
        self.ssh("cat /proc/sys/kernel/random/boot_id")
    }

    /// Waits until it has booted once more than when it had this boot id.
    pub(super) fn is_up_again(&self, before: &str) {
        let until = Instant::now() + self.served.patience;
        loop {
            let output = self.run("cat /proc/sys/kernel/random/boot_id");
            let now = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && now != before {
                return self.is_up();
            }
            assert!(
                Instant::now() < until,
                "{} does not boot again",
                self.address
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
