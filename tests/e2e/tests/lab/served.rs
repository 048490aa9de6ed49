//! A lab that is served by the command, and its machines by SSH.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dmp_lab::Written;
use serde_json::Value;

use super::client::{Client, FORM};
use super::support::Sandbox;

/// The port at which machines let people in.
pub(super) const PORT: u16 = 2222;

/// A number of this test run, so that two runs on one host do not share addresses.
pub(super) fn block() -> u8 {
    u8::try_from(std::process::id() % 250 + 1).expect("small")
}

/// The address of a machine of a test; each test has its own.
pub(super) fn at(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 30, block(), number + 1)
}

/// A lab, until the value goes.
pub(super) struct Served {
    pub sandbox: Sandbox,
    pub written: Written,
    process: Child,
}

/// A machine as SSH reaches it.
pub(super) struct Machine<'a> {
    lab: &'a Served,
    pub address: Ipv4Addr,
    known_hosts: Option<PathBuf>,
    bastion: Option<Ipv4Addr>,
}

/// How a command in a machine ended.
#[derive(Debug)]
pub(super) struct Entered {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

impl Entered {
    pub(super) fn success(self) -> Entered {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl Served {
    /// A lab without a look at whether there can be machines.
    pub(super) fn begin() -> Served {
        let sandbox = Sandbox::stack("");
        let (process, written) = serve(&sandbox, serving(&sandbox));
        Served {
            sandbox,
            written,
            process,
        }
    }

    /// A lab whose template is made of a file with these bytes, and which finds no program of the host but `ip`.
    pub(super) fn without_programs(image: &[u8]) -> Served {
        let sandbox = Sandbox::stack("");
        let programs = sandbox.path().join("programs");
        std::fs::create_dir(&programs).expect("a folder");
        let mut places = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].iter();
        if let Some(ip) = places.find(|path| Path::new(path).exists()) {
            std::os::unix::fs::symlink(ip, programs.join("ip")).expect("a link");
        }
        std::fs::write(sandbox.stack_folder().join("disk"), image).expect("written");
        let mut command = serving(&sandbox);
        command
            .args(["--root", "debian-13=disk"])
            .env("PATH", &programs);
        let (process, written) = serve(&sandbox, command);
        Served {
            sandbox,
            written,
            process,
        }
    }

    /// A lab with machines; none, and a word, where there can be none.
    #[expect(clippy::print_stderr, reason = "a test that was left out says so")]
    pub(super) fn with_machines() -> Option<Served> {
        let lab = Served::begin();
        lab.ssh_key("key");
        let status = lab
            .sandbox
            .run(&["lab", "status", "--json"])
            .expect_success()
            .out;
        let status: Value = serde_json::from_str(&status).expect("JSON");
        let Some(reason) = status["no_machines"].as_str() else {
            return Some(lab);
        };
        // Nothing that could be installed would help where the kernel refuses.
        eprintln!("SKIPPED: {reason}");
        None
    }

    /// Ends the lab's process, and serves what it left.
    pub(super) fn take_up_again(&mut self) {
        self.sandbox.run(&["lab", "stop"]).expect_success();
        self.process.wait().expect("an end");
        (self.process, self.written) = serve(&self.sandbox, serving(&self.sandbox));
    }

    pub(super) fn client(&self) -> Client {
        Client::of(
            &self.written,
            &format!("Authorization: PVEAPIToken={}", self.written.token),
        )
    }

    pub(super) fn put(&self, path: &str, form: &str) {
        self.client().put(path, form).data();
    }

    /// Begins a task, and waits for its good end.
    pub(super) fn task(&self, method: &str, path: &str) {
        self.task_with(method, path, "");
    }

    pub(super) fn task_with(&self, method: &str, path: &str, form: &str) {
        let client = self.client();
        let kind = if method == "DELETE" { "" } else { FORM };
        let task = client
            .call(method, &format!("/api2/json{path}"), kind, form.as_bytes())
            .data();
        assert_eq!(client.wait(&task), "OK", "{method} {path}");
    }

    /// Waits until what is read is as it should be.
    pub(super) fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so(&self.client().get(path).data()) {
            assert!(
                Instant::now() < deadline,
                "{path}: {}",
                self.client().get(path).data()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn upload(&self, name: &str, content: &[u8]) {
        let mut body = format!(
            "--B\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n\
             --B\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"{name}\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--B--\r\n");
        let client = self.client();
        let path = "/api2/json/nodes/pve1/storage/shared/upload";
        let task = client
            .call("POST", path, "multipart/form-data; boundary=B", &body)
            .data();
        assert_eq!(client.wait(&task), "OK");
    }

    pub(super) fn clone_of_template(&self, vmid: u32, name: &str) {
        self.task_with(
            "POST",
            "/nodes/pve1/qemu/9000/clone",
            &format!("newid={vmid}&name={name}"),
        );
    }

    /// Gives a machine a user with the test's key, and more.
    pub(super) fn configure(&self, vmid: u32, more: &str) {
        let public = std::fs::read_to_string(self.key().with_extension("pub")).expect("a key");
        let encode = |text: &str| {
            let plain = |byte: u8| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            };
            text.bytes().map(plain).collect::<String>()
        };
        let keys = encode(&encode(public.trim()));
        self.put(
            &format!("/nodes/pve1/qemu/{vmid}/config"),
            &format!("ciuser=debian&ciupgrade=0&sshkeys={keys}&{more}"),
        );
    }

    /// Makes a machine, and waits until it lets people in.
    pub(super) fn machine(&self, vmid: u32, name: &str, address: Ipv4Addr) -> Machine<'_> {
        self.clone_of_template(vmid, name);
        self.configure(vmid, &format!("ipconfig0=ip%3D{address}%2F24"));
        self.task("POST", &format!("/nodes/pve1/qemu/{vmid}/status/start"));
        let machine = self.known(address);
        machine.settled("true");
        machine
    }

    /// The machine at an address, whatever its host key.
    pub(super) fn known(&self, address: Ipv4Addr) -> Machine<'_> {
        Machine {
            lab: self,
            address,
            known_hosts: None,
            bastion: None,
        }
    }

    /// The machine at an address, with a host key that it must have.
    pub(super) fn pinned(&self, address: Ipv4Addr, key: &str) -> Machine<'_> {
        let file = self.sandbox.path().join("known_hosts");
        std::fs::write(&file, format!("[{address}]:{PORT} {key}\n")).expect("written");
        Machine {
            lab: self,
            address,
            known_hosts: Some(file),
            bastion: None,
        }
    }

    pub(super) fn key(&self) -> PathBuf {
        self.sandbox.path().join("key")
    }

    /// Makes a key pair.
    pub(super) fn ssh_key(&self, name: &str) -> PathBuf {
        let path = self.sandbox.path().join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&path)
            .status()
            .expect("ssh-keygen");
        assert!(made.success());
        path
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.sandbox.run(&["lab", "stop"]);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.process.try_wait().ok().flatten().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
    }
}

fn serving(sandbox: &Sandbox) -> Command {
    sandbox.command(&["lab", "serve", "--speed", "50"])
}

fn serve(sandbox: &Sandbox, mut command: Command) -> (Child, Written) {
    let mut process = command.stderr(Stdio::null()).spawn().expect("starts");
    let folder = sandbox.stack_folder().join(".dmp/lab");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(written) = Written::read(&folder) {
            return (process, written);
        }
        assert!(process.try_wait().expect("a process").is_none(), "it ended");
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Machine<'_> {
    /// The same machine, reached through another one.
    pub(super) fn through(&self, bastion: Ipv4Addr) -> Machine<'_> {
        Machine {
            lab: self.lab,
            address: self.address,
            known_hosts: self.known_hosts.clone(),
            bastion: Some(bastion),
        }
    }

    /// Runs a command with the test's key.
    pub(super) fn run(&self, command: &str, input: &str) -> Entered {
        self.run_as("debian", &self.lab.key(), command, input)
    }

    /// Runs a command, again until it succeeds.
    pub(super) fn settled(&self, command: &str) -> Entered {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let ran = self.run(command, "");
            if ran.code == Some(0) {
                return ran;
            }
            assert!(Instant::now() < deadline, "{command}: {ran:?}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub(super) fn run_as(&self, user: &str, key: &Path, command: &str, input: &str) -> Entered {
        let mut options = vec![
            "-F".to_owned(),
            "none".into(),
            "-o".into(),
            "BatchMode=yes".into(),
            "-o".into(),
            "LogLevel=ERROR".into(),
            "-o".into(),
            "ConnectTimeout=10".into(),
            "-o".into(),
            "IdentitiesOnly=yes".into(),
            "-i".into(),
            key.display().to_string(),
        ];
        match &self.known_hosts {
            Some(file) => options.extend([
                "-o".into(),
                format!("UserKnownHostsFile={}", file.display()),
                "-o".into(),
                "StrictHostKeyChecking=yes".into(),
            ]),
            None => options.extend(
                [
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                    "-o",
                    "StrictHostKeyChecking=no",
                ]
                .map(str::to_owned),
            ),
        }
        if let Some(bastion) = self.bastion {
            let proxy = format!(
                "ssh {} -p {PORT} -W %h:%p debian@{bastion}",
                options.join(" ")
            );
            options.extend(["-o".into(), format!("ProxyCommand={proxy}")]);
        }
        let mut ssh = Command::new("ssh")
            .args(&options)
            .args([
                "-p",
                &PORT.to_string(),
                &format!("{user}@{}", self.address),
                command,
            ])
            .env("HOME", self.lab.sandbox.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh");
        // A server that lets nobody in reads nothing.
        let _ = ssh
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes());
        let output = ssh.wait_with_output().expect("an end");
        Entered {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}
