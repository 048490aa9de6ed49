//! Modules from git repositories, by `dmp init`: fetched, locked, verified, kept secret.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::Sandbox;

/// A repository beside a stack.
struct Repository {
    path: PathBuf,
}

impl Repository {
    fn new(sandbox: &Sandbox, name: &str) -> Self {
        let path = sandbox.path().join(name);
        fs::create_dir_all(&path).expect("writable");
        let repository = Self { path };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .current_dir(&self.path)
            .env("HOME", &self.path)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("git is there");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes a file and commits it; gives the commit.
    fn commit(&self, name: &str, text: &str) -> String {
        let file = self.path.join(name);
        fs::create_dir_all(file.parent().expect("has one")).expect("writable");
        fs::write(file, text).expect("writable");
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn source(&self, rest: &str) -> String {
        format!("git::file://{}{rest}", self.path.display())
    }
}

fn module(version: &str) -> String {
    format!(
        "output \"version\" {{\n  value = \"{version} ${{file(\"${{path.module}}/name\")}}\"\n}}\n"
    )
}

fn calling(source: &str) -> String {
    format!(
        "module \"net\" {{\n  source = \"{source}\"\n}}\noutput \"version\" {{\n  value = module.net.version\n}}\n"
    )
}

/// A repository with a module in `sub`, tagged `v1`, and a stack that calls it.
fn prepared(rest: &str) -> (Sandbox, Repository, String) {
    let sandbox = Sandbox::stack("");
    let repository = Repository::new(&sandbox, "net");
    repository.commit("sub/name", "net");
    let commit = repository.commit("sub/main.hcl", &module("one"));
    repository.git(&["tag", "v1"]);
    sandbox.write("main.hcl", &calling(&repository.source(rest)));
    (sandbox, repository, commit)
}

fn version(sandbox: &Sandbox) -> String {
    sandbox.run(&["apply", "--yes"]).expect_success();
    sandbox
        .run(&["output", "--raw", "version"])
        .expect_success()
        .out
}

fn lock(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.stack_folder().join("dmp.lock.hcl")).unwrap_or_default()
}

fn modules_folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.stack_folder().join(".dmp/modules")
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_module_is_fetched_locked_and_stays_at_its_commit_until_it_is_upgraded() {
    let (sandbox, repository, first) = prepared("//sub?ref=main");
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("module is not fetched")
        .says("run `dmp init`");
    sandbox
        .run(&["init"])
        .expect_success()
        .shows("?ref=main")
        .shows("fetched")
        .shows("keep it in version control")
        .shows("`dmp plan` shows what would be done");
    assert!(lock(&sandbox).contains(&first));
    assert!(lock(&sandbox).contains("ref    = \"main\""));
    assert_eq!(names_in(&modules_folder(&sandbox)).len(), 1);
    assert_eq!(version(&sandbox), "one net");
    let second = repository.commit("sub/main.hcl", &module("two"));
    sandbox.run(&["init"]).expect_success().shows("is here");
    assert_eq!(version(&sandbox), "one net");
    // Another checkout has the lock file and nothing else: it gets the same commit.
    fs::remove_dir_all(modules_folder(&sandbox)).expect("is there");
    sandbox.run(&["plan"]).expect_code(1).says("run `dmp init`");
    sandbox.run(&["init"]).expect_success().shows("fetched");
    assert_eq!(version(&sandbox), "one net");
    let ran = sandbox.run(&["init", "-upgrade", "-json"]).expect_success();
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("is JSON");
    assert_eq!(json["modules"][0]["commit"], second);
    assert_eq!(json["modules"][0]["before"], first);
    assert_eq!(version(&sandbox), "two net");
    assert_eq!(
        sandbox.run(&["fmt", "--check"]).expect_success().out,
        "",
        "the lock file has the canonical layout"
    );
}

#[test]
fn tags_commits_and_short_commits_are_versions() {
    let (sandbox, repository, first) = prepared("//sub?ref=v1");
    repository.commit("sub/main.hcl", &module("two"));
    for (reference, expected) in [
        ("v1", "one net"),
        (first.as_str(), "one net"),
        (&first[..10], "one net"),
        ("main", "two net"),
    ] {
        let source = repository.source(&format!("//sub?ref={reference}"));
        sandbox.write("main.hcl", &calling(&source));
        sandbox.run(&["init"]).expect_success();
        assert_eq!(version(&sandbox), expected, "{reference}");
    }
    let source = repository.source("//sub?ref=v9");
    sandbox.write("main.hcl", &calling(&source));
    sandbox
        .run(&["init"])
        .expect_code(1)
        .says("has no branch, tag or commit `v9`");
}

#[test]
fn modules_in_a_fetched_module_are_fetched_too_and_stay_inside_it() {
    let (sandbox, repository, _) = prepared("//sub");
    let inner = Repository::new(&sandbox, "inner");
    inner.commit("main.hcl", "output \"name\" {\n  value = \"inner\"\n}\n");
    let text = format!(
        "module \"inner\" {{\n  source = \"{}\"\n}}\nmodule \"beside\" {{\n  source = \"../beside\"\n}}\noutput \"version\" {{\n  value = \"${{module.inner.name}} ${{module.beside.name}}\"\n}}\n",
        inner.source("")
    );
    repository.commit(
        "beside/main.hcl",
        "output \"name\" {\n  value = \"beside\"\n}\n",
    );
    repository.commit("sub/main.hcl", &text);
    sandbox.run(&["init"]).expect_success();
    assert_eq!(version(&sandbox), "inner beside");
    assert_eq!(lock(&sandbox).matches("module \"").count(), 2);
    // What leads out of the package is refused.
    fs::create_dir(sandbox.path().join("stack/other")).expect("writable");
    sandbox.write("other/main.hcl", "");
    let text = "module \"out\" {\n  source = \"../../../../other\"\n}\n";
    repository.commit("sub/main.hcl", text);
    sandbox
        .run(&["init", "--upgrade"])
        .expect_code(1)
        .says("leads out of what was fetched");
    // A module that is called no more is locked no more.
    sandbox.write("main.hcl", "");
    sandbox.run(&["init"]).expect_success();
    assert_eq!(lock(&sandbox), "");
}

#[test]
fn what_differs_from_the_lock_is_refused_and_mended_by_init() {
    let (sandbox, repository, first) = prepared("//sub?ref=main");
    sandbox.run(&["init"]).expect_success();
    let folder = modules_folder(&sandbox).join(&names_in(&modules_folder(&sandbox))[0]);
    fs::write(folder.join("sub/name"), "changed").expect("writable");
    sandbox
        .run(&["plan"])
        .expect_code(1)
        .says("somebody has changed it")
        .says("run `dmp init`");
    sandbox.run(&["init"]).expect_success();
    assert_eq!(version(&sandbox), "one net");
    // A commit that has another content than was locked.
    let text = lock(&sandbox);
    let digest = text.split("sha256:").nth(1).expect("is there")[..64].to_owned();
    sandbox.write("dmp.lock.hcl", &text.replace(&digest, &"0".repeat(64)));
    sandbox
        .run(&["init"])
        .expect_code(1)
        .says("a module is not what was locked");
    // A commit that is gone.
    let gone = text.replace(&first, &"1".repeat(40));
    sandbox.write("dmp.lock.hcl", &gone);
    sandbox
        .run(&["init"])
        .expect_code(1)
        .says("a locked commit is gone")
        .says("init --upgrade");
    sandbox.write("dmp.lock.hcl", "module \"a\" {\n");
    sandbox.run(&["plan"]).expect_code(1).says("dmp.lock.hcl");
    drop(repository);
}

#[test]
fn several_at_once_and_one_that_is_killed_leave_nothing_half() {
    let (sandbox, _repository, _) = prepared("//sub");
    let start = || {
        let mut command = sandbox.command(&["init"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("starts")
    };
    let mut killed = start();
    std::thread::sleep(std::time::Duration::from_millis(15));
    killed.kill().expect("is ours");
    killed.wait().expect("ends");
    let running: Vec<_> = (0..4).map(|_| start()).collect();
    for child in running {
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{output:?}");
    }
    let names = names_in(&modules_folder(&sandbox));
    let whole: Vec<_> = names.iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(whole.len(), 1, "{names:?}");
    assert_eq!(version(&sandbox), "one net");
}

#[test]
fn a_login_in_a_source_is_shown_nowhere_and_given_to_git_as_no_argument() {
    let sandbox = Sandbox::stack("");
    // A `git` that writes down what it is given and fails.
    let folder = sandbox.path().join("bin");
    fs::create_dir(&folder).expect("writable");
    let seen = sandbox.path().join("seen");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = check-ignore ]; then exit 1; fi\necho \"$@\" >>{0}.args\nenv >>{0}.env\ncase \"$*\" in *fetch*) echo \"fatal: no t0ken-hunter2 for you\" >&2; exit 128;; esac\n",
        seen.display()
    );
    let program = folder.join("git");
    fs::write(&program, script).expect("writable");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).expect("ours");
    let source = "git::https://t0ken-hunter2:x-pass@git.example.com/net.git?ref=v1";
    sandbox.write("main.hcl", &calling(source));
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let ran = sandbox.run_with(&["init"], &[("PATH", path.as_str())]);
    let ran = ran.expect_code(3).says("no … for you");
    let plan = sandbox.run(&["plan"]).expect_code(1);
    for shown in [ran, plan] {
        shown
            .says("git::https://git.example.com/net.git?ref=v1")
            .hides("hunter2")
            .hides("x-pass");
    }
    let arguments = fs::read_to_string(seen.with_extension("args")).expect("it ran");
    assert!(
        arguments.contains("-- https://git.example.com/net.git v1"),
        "{arguments}"
    );
    assert!(!arguments.contains("hunter2") && !arguments.contains("x-pass"));
    let environment = fs::read_to_string(seen.with_extension("env")).expect("it ran");
    assert!(environment.contains("GIT_TERMINAL_PROMPT=0"));
    assert!(environment.contains("GIT_CONFIG_KEY_0=http.https://git.example.com/.extraHeader"));
    assert!(environment.contains("GIT_CONFIG_VALUE_0=Authorization: Basic dDBrZW4t"));
    assert!(names_in(&modules_folder(&sandbox)).is_empty());
}

#[test]
fn sources_that_are_options_or_other_transports_are_refused() {
    let sandbox = Sandbox::stack("");
    for (source, why) in [
        ("git::ext::sh -c touch% pwned", "letters that no URL has"),
        ("git::ext://sh", "not by `ext`"),
        (
            "git::https://h/a.git?ref=--upload-pack=x",
            "`ref` is no name",
        ),
        ("git::ssh://-oProxyCommand=x/a", "no host"),
        ("hashicorp/consul/aws", "registries are not carried out"),
        (
            "https://example.com/a.zip",
            "web servers are not carried out",
        ),
    ] {
        sandbox.write("main.hcl", &calling(source));
        sandbox.run(&["init"]).expect_code(1).says(why);
    }
}

#[test]
fn init_says_what_the_stack_uses_and_keeps_the_state_out_of_git() {
    let sandbox = Sandbox::stack(
        "stack {\n  required_version = \">= 0.1\"\n}\nprovider \"test\" {\n  cloud = \"CLOUD\"\n}\nresource \"core_random_id\" \"a\" {\n  byte_length = 2\n}\n",
    );
    sandbox
        .run(&["init"])
        .expect_success()
        .shows("Providers: core, test; built into dmp")
        .hides(".gitignore");
    assert!(!sandbox.stack_folder().join("dmp.lock.hcl").exists());
    let checkout = Repository {
        path: sandbox.stack_folder(),
    };
    checkout.git(&["init", "--quiet"]);
    sandbox
        .run(&["init"])
        .expect_success()
        .shows("`.dmp/.gitignore` is written");
    sandbox.run(&["init"]).expect_success().hides(".gitignore");
    assert_eq!(checkout.git(&["status", "--short"]), "?? main.hcl");
    sandbox.write("more.hcl", "stack {\n}\n");
    sandbox.run(&["init"]).expect_code(1).says("defined twice");
    fs::remove_file(sandbox.stack_folder().join("more.hcl")).expect("is there");
    sandbox.write("main.hcl", "stack {\n  required_version = \">= 99.0\"\n}\n");
    sandbox
        .run(&["init"])
        .expect_code(1)
        .says("this dmp does not fit the stack");
}
