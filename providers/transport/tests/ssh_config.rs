//! The SSH configuration, read side by side with `ssh -G`: what OpenSSH makes of a file dmp makes of it too, unless the
//! table says that it is read differently on purpose.

#[path = "ssh_config/blocks.rs"]
mod blocks;
#[path = "ssh_config/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dmp_transport::ssh_config::{Asked, Files, Person, Root, SshConfig, Strictness};
use proptest::prelude::*;

/// What is to come out of a case.
#[derive(Clone, Copy, PartialEq)]
enum Expect {
    /// Both read it, and alike.
    Same,
    /// Both refuse it.
    Refused,
    /// dmp takes what OpenSSH refuses, or the other way round.
    OnPurpose(&'static str),
}
/// A title, the arguments of `ssh`, the text (`@` is the folder of the files that may be included), the outcome.
struct Case(&'static str, &'static [&'static str], &'static str, Expect);

fn cases() -> impl Iterator<Item = &'static Case> {
    values::CASES.iter().chain(blocks::CASES)
}

/// The files that cases include.
fn write_included(dir: &Path) {
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).expect("writable");
    write("one", "User one\nPort 1\n".into());
    write("any", "Host *\n Port 8\n".into());
    write("db", "Host db\n User db\n".into());
    write("wrong", "User a b\n".into());
    write("open", "User open\n".into());
    write("circle", format!("Include {}/circle\n", dir.display()));
    for depth in 1..15 {
        write(
            &format!("deep{depth}"),
            format!("Include {}/deep{}\n", dir.display(), depth + 1),
        );
    }
    write("deep15", "User deep\n".into());
    std::fs::create_dir(dir.join("dir")).expect("writable");
    write("dir/b.conf", "User b\nPort 2\n".into());
    write("dir/a.conf", "User a\n".into());
    write("dir/.c.conf", "HostName hidden\n".into());
    write("dir/d", "HostKeyAlias d\n".into());
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(dir.join("open"), open).expect("is ours");
}

/// The person that `ssh` takes us for.
fn person() -> Person {
    let mut person = Person::from_environment();
    person.home = person.homes.get(&person.name).cloned().expect("has a home");
    person.login.clone_from(&person.name);
    person.variables = variables(&person.home).into();
    person
}

fn variables(home: &Path) -> [(String, String); 3] {
    [
        ("HOME".into(), home.display().to_string()),
        ("SOCKETS".into(), "/run/sockets".into()),
        ("PATH".into(), "/usr/bin:/bin".into()),
    ]
}

/// What `ssh -G` prints, by keyword; `None` if it refuses.
fn openssh(
    file: &Path,
    arguments: &[&str],
    person: &Person,
) -> Option<BTreeMap<String, Vec<String>>> {
    let output = Command::new("ssh")
        .args(["-G", "-F"])
        .arg(file)
        .args(arguments)
        .env_clear()
        .envs(variables(&person.home))
        .output()
        .expect("ssh runs");
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        if COMPARED.contains(&keyword) {
            found
                .entry(keyword.into())
                .or_default()
                .push(value.trim_end().into());
        }
    }
    Some(found)
}

/// The same of dmp.
fn ours(file: &Path, arguments: &[&str], person: &Person) -> Option<BTreeMap<String, Vec<String>>> {
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| *argument == flag)?;
        arguments.get(at + 1).map(|value| (*value).to_owned())
    };
    let asked = Asked {
        host: (*arguments.last().expect("a host")).to_owned(),
        user: after("-l"),
        port: after("-p").map(|port| port.parse().expect("a port")),
    };
    let config = SshConfig::of_file(file, person.clone());
    let found = config.look_up(&asked).ok()?;
    let settings = found.settings.clone();
    let user = settings.user.clone().unwrap_or_else(|| person.name.clone());
    let port = settings.port.unwrap_or(22);
    let login = config.login(&asked.host, &found.host, &user, port).ok()?;
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut put = |keyword: &str, value: Vec<String>| {
        if !value.is_empty() {
            values.insert(keyword.into(), value);
        }
    };
    let one = |text: &str| vec![text.to_owned()];
    put("hostname", vec![found.host]);
    put("user", vec![user]);
    put("port", vec![port.to_string()]);
    put(
        "identityfile",
        match settings.identity_files.is_empty() {
            true => DEFAULT_FILES
                .iter()
                .map(|name| format!("~/.ssh/{name}"))
                .collect(),
            false => settings.identity_files,
        },
    );
    put("certificatefile", settings.certificate_files);
    put(
        "identitiesonly",
        one(if login.identities_only { "yes" } else { "no" }),
    );
    put(
        "identityagent",
        match (&settings.identity_agent, &login.agent) {
            (Some(written), _) if written == "none" => one("none"),
            (_, Some(path)) => vec![path.display().to_string()],
            _ => Vec::new(),
        },
    );
    let hops = settings.jump.flatten().unwrap_or_default();
    let hops: Vec<String> = hops
        .iter()
        .map(|hop| {
            let user = hop
                .user
                .as_ref()
                .map(|user| format!("{user}@"))
                .unwrap_or_default();
            let host = match hop.host.contains(':') {
                true => format!("[{}]", hop.host),
                false => hop.host.clone(),
            };
            let port = hop.port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("{user}{host}{port}")
        })
        .collect();
    put(
        "proxyjump",
        if hops.is_empty() {
            Vec::new()
        } else {
            vec![hops.join(",")]
        },
    );
    let command = settings.proxy_command.map(|(command, _)| command);
    put(
        "proxycommand",
        command
            .filter(|command| command != "none")
            .into_iter()
            .collect(),
    );
    let paths = |paths: &[PathBuf]| {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        if paths.is_empty() {
            "none".to_owned()
        } else {
            paths.join(" ")
        }
    };
    let home = person.home.display();
    put(
        "userknownhostsfile",
        vec![match &login.user_known_hosts {
            Some(files) => paths(files),
            None => format!("{home}/.ssh/known_hosts {home}/.ssh/known_hosts2"),
        }],
    );
    put(
        "globalknownhostsfile",
        vec![match &login.global_known_hosts {
            Some(files) => paths(files),
            None => "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2".into(),
        }],
    );
    put(
        "hostkeyalias",
        settings.host_key_alias.into_iter().collect(),
    );
    put(
        "stricthostkeychecking",
        one(match settings.strictness.unwrap_or_default() {
            Strictness::Ask => "ask",
            Strictness::AcceptNew => "accept-new",
            Strictness::Off => "false",
            Strictness::Yes => "true",
        }),
    );
    let time = |time: Option<u32>, default: &str| {
        vec![time.map_or(default.into(), |time| time.to_string())]
    };
    put("connecttimeout", time(settings.connect_timeout, "none"));
    put("serveraliveinterval", time(settings.alive_interval, "0"));
    put("serveralivecountmax", time(settings.alive_count_max, "3"));
    Some(values)
}

const COMPARED: [&str; 16] = [
    "hostname",
    "user",
    "port",
    "identityfile",
    "certificatefile",
    "identitiesonly",
    "identityagent",
    "proxyjump",
    "proxycommand",
    "userknownhostsfile",
    "globalknownhostsfile",
    "hostkeyalias",
    "stricthostkeychecking",
    "connecttimeout",
    "serveraliveinterval",
    "serveralivecountmax",
];

const DEFAULT_FILES: [&str; 7] = [
    "id_rsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "id_xmss",
    "id_dsa",
];

#[test]
#[expect(clippy::print_stderr, reason = "how many were compared is the proof")]
fn every_file_says_the_same_to_dmp_and_to_openssh() {
    if Command::new("ssh").arg("-V").output().is_err() {
        eprintln!("SKIPPED: ssh is not installed");
        assert!(std::env::var_os("CI").is_none(), "CI needs ssh");
        return;
    }
    let dir = tempfile::TempDir::new().expect("a temporary directory");
    write_included(dir.path());
    let person = person();
    let mut wrong = Vec::new();
    let (mut same, mut refused, mut different) = (0, 0, 0);
    for Case(title, arguments, text, expect) in cases() {
        let file = dir.path().join("config");
        let text = text.replace("@@", &person.name);
        let text = text.replace(" @/", &format!(" {}/", dir.path().display()));
        std::fs::write(&file, text).expect("writable");
        let (theirs, ours) = (
            openssh(&file, arguments, &person),
            ours(&file, arguments, &person),
        );
        let holds = match expect {
            Expect::Same => theirs.is_some() && theirs == ours,
            Expect::Refused => theirs.is_none() && ours.is_none(),
            Expect::OnPurpose(_) => ours.is_some() != theirs.is_some() || theirs != ours,
        };
        match expect {
            Expect::Same => same += 1,
            Expect::Refused => refused += 1,
            Expect::OnPurpose(_) => different += 1,
        }
        if !holds {
            wrong.push(format!(
                "{title}:\n  OpenSSH: {theirs:?}\n  dmp:     {ours:?}"
            ));
        }
    }
    eprintln!(
        "{} files compared with `ssh -G`: {same} alike, {refused} refused by both, {different} different on purpose",
        cases().count()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Paths are filled in when a login is made; `ssh -v` tells what it made of them.
#[test]
fn files_of_keys_are_the_ones_that_openssh_tries() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return;
    }
    let dir = tempfile::TempDir::new().expect("a temporary directory");
    let file = dir.path().join("config");
    let text = "Host web\n HostName 127.0.0.1\n User ann\n Port 1\n HostKeyAlias key\n\
        IdentityFile ~/.ssh/id_%h_%r_%p\n IdentityFile %d/%u.%n.%k.%i.%L.%l\n IdentityFile ${SOCKETS}/%%\n\
        IdentityFile ~root/x\n IdentityFile relative/%C\n";
    std::fs::write(&file, text).expect("writable");
    let person = person();
    let output = Command::new("ssh")
        .args([
            "-v",
            "-o",
            "BatchMode=yes",
            "-o",
            "ProxyCommand=false",
            "-F",
        ])
        .arg(&file)
        .arg("web")
        .env_clear()
        .envs(variables(&person.home))
        .output()
        .expect("ssh runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let named = text
        .lines()
        .filter_map(|line| line.split_once("identity file "));
    let mut theirs: Vec<&str> = named
        .filter_map(|(_, rest)| rest.rsplit_once(" type "))
        .map(|(path, _)| path)
        .collect();
    theirs.retain(|path| !path.ends_with("-cert"));
    let config = SshConfig::of_file(&file, person);
    let login = config
        .login("web", "127.0.0.1", "ann", 1)
        .expect("is whole");
    let ours: Vec<String> = login
        .identity_files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(theirs, ours, "{text}");
}

/// Texts by name, for what needs no disk.
struct Texts(BTreeMap<PathBuf, Arc<str>>);

impl Files for Texts {
    fn read(&self, path: &Path) -> Result<Option<Arc<str>>, String> {
        Ok(self.0.get(path).cloned())
    }

    fn matching(&self, pattern: &str) -> Vec<PathBuf> {
        self.0
            .keys()
            .filter(|path| path.starts_with(pattern))
            .cloned()
            .collect()
    }
}

fn config(own: &str, global: &str) -> SshConfig {
    let texts = [
        ("/home/ann/.ssh/config", own),
        ("/etc/ssh/ssh_config", global),
    ];
    let texts = texts.map(|(path, text)| (PathBuf::from(path), Arc::from(text)));
    let person = Person {
        name: "ann".into(),
        login: "root".into(),
        home: "/home/ann".into(),
        ..Person::default()
    };
    let root = |file: &str, is_own| Root {
        file: file.into(),
        folder: Path::new(file).parent().expect("has one").to_owned(),
        is_own,
        is_needed: false,
    };
    let roots = vec![
        root("/home/ann/.ssh/config", true),
        root("/etc/ssh/ssh_config", false),
    ];
    SshConfig::of(roots, person, Arc::new(Texts(texts.into())))
}

fn asked(host: &str) -> Asked {
    Asked {
        host: host.into(),
        ..Asked::default()
    }
}

#[test]
fn the_file_of_the_machine_comes_after_the_persons() {
    let config = config("Host web\n User ann\n", "User everybody\nPort 2200\n");
    let route = config.route(&asked("web")).expect("is whole");
    assert_eq!(
        (route.user.as_deref(), route.port),
        (Some("ann"), Some(2200))
    );
    let route = config.route(&asked("db")).expect("is whole");
    assert_eq!(route.user.as_deref(), Some("everybody"));
}

#[test]
fn each_hop_is_looked_up_and_reached_through_those_before_it() {
    let config = config(
        "Host web\n HostName 10.0.0.5\n ProxyJump outer,bob@inner:2022\n\
         Host inner\n HostName 10.0.0.2\n ProxyJump not-asked\n\
         Host outer\n HostName gate.example.org\n User op\n ProxyJump first\n",
        "",
    );
    let route = config.route(&asked("web")).expect("is whole");
    let hops: Vec<String> = route
        .bastions
        .iter()
        .map(|hop| format!("{}={}@{}:{}", hop.alias, hop.user, hop.address, hop.port))
        .collect();
    assert_eq!(route.address, "10.0.0.5");
    assert_eq!(
        hops,
        [
            "first=ann@first:22",
            "outer=op@gate.example.org:22",
            "inner=bob@10.0.0.2:2022"
        ]
    );
}

#[test]
fn ways_in_a_circle_and_ways_by_a_command_are_told() {
    let config = config(
        "Host a\n ProxyJump b\nHost b\n ProxyJump a\nHost c\n ProxyCommand nc %h\nHost d\n ProxyJump c\n",
        "",
    );
    let error = config.route(&asked("a")).expect_err("a circle");
    assert!(error.to_string().contains("in a circle"), "{error}");
    for host in ["c", "d"] {
        let route = config.route(&asked(host)).expect("is whole");
        assert_eq!(
            route.needs_command.as_deref(),
            Some("/home/ann/.ssh/config:6"),
            "{host}"
        );
    }
}

#[test]
fn a_command_to_match_is_never_run_and_told_with_its_line() {
    let config = config(
        "User a\nMatch host web exec \"touch /tmp/never\"\n Port 9\n",
        "",
    );
    let login = config.login("web", "web", "a", 22).expect("is whole");
    assert_eq!(login.passed_over[0].to_string(), "/home/ann/.ssh/config:2");
    let login = config.login("db", "db", "a", 22).expect("is whole");
    assert!(login.passed_over.is_empty());
    let error = self::config("\n\nPort x\n", "")
        .route(&asked("web"))
        .expect_err("wrong");
    assert!(
        error.to_string().starts_with("/home/ann/.ssh/config:3: "),
        "{error}"
    );
}

/// Lines that are nearly right, beside bytes of every kind.
fn any_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[ -~]{0,12}",
        Just("*".to_owned()),
        Just("~/%h-%C".to_owned()),
        Just("a,b@c:1".to_owned()),
        Just("\"".to_owned()),
        Just("${X}".to_owned()),
    ];
    let keyword = prop::sample::select(vec![
        "Host",
        "Match",
        "match final",
        "Include",
        "HostName",
        "Port",
        "ProxyJump",
        "IdentityFile",
        "User",
        "UserKnownHostsFile",
        "ConnectTimeout",
        "IdentityAgent",
        "Match exec",
        "=",
        "#",
    ]);
    let line = (keyword, prop::collection::vec(word, 0..4))
        .prop_map(|(keyword, words)| format!("{keyword} {}\n", words.join(" ")));
    let bytes = prop::collection::vec(any::<u8>(), 0..200)
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    prop_oneof![
        prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat()),
        bytes
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(own in any_text(), global in any_text(), host in "[ -~]{0,20}") {
        let config = config(&own, &global);
        let _ = config.route(&asked(&host));
        let _ = config.login(&host, &host, "root", 22);
    }
}
