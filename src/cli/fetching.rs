//! Modules from git repositories: the `git` program fetches them, aside, and what is whole is put in its place by one
//! rename. Called by `dmp init` alone.
//!
//! What a source says reaches git as data: behind `--`, held against the rules of `dmp_lang::package`, and by no other
//! transport than those named here. A login stands in no argument of a process and in no file: git gets it as a header
//! through the environment.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dmp_lang::load::digest_of_folder;
use dmp_lang::package::{Locked, PACKAGES, Package};
use dmp_sdk::Diagnostic;
use tokio::process::Command;

/// Fetches a package: the commit that is wanted, or what its branch, tag or commit says now.
pub(crate) async fn fetch(
    stack: &Path,
    package: &Package,
    wanted: Option<&Locked>,
) -> Result<Locked, Diagnostic> {
    let packages = stack.join(PACKAGES);
    make_private(&packages)?;
    sweep(&packages);
    let aside = tempfile::Builder::new()
        .prefix(ASIDE)
        .tempdir_in(&packages)
        .map_err(|error| cannot_write(&packages, &error))?;
    let tree = aside.path().join("tree");
    fs::create_dir(&tree).map_err(|error| cannot_write(&tree, &error))?;
    let git = Git {
        tree: &tree,
        package,
    };
    let commit = git.fetch(wanted).await?;
    let links = tree.join(".git");
    fs::remove_dir_all(&links).map_err(|error| cannot_write(&links, &error))?;
    let digest = digest_of_folder(&tree).map_err(|error| cannot_write(&tree, &error))?;
    let locked = Locked { commit, digest };
    if let Some(wanted) = wanted
        && *wanted != locked
    {
        return Err(
            Diagnostic::error("changed-module", "a module is not what was locked")
                .detail(format!(
                    "`{package}` has another content than `dmp.lock.hcl` says of commit {}",
                    wanted.commit
                ))
                .help("find out why; `dmp init --upgrade` takes what is there now"),
        );
    }
    let place = packages.join(package.folder_name(&locked.commit));
    put(&tree, &place, &locked, aside.path())?;
    Ok(locked)
}

/// Puts what was fetched in its place. Where another init was faster, or nothing has changed, it is the same.
fn put(tree: &Path, place: &Path, locked: &Locked, aside: &Path) -> Result<(), Diagnostic> {
    for attempt in 0..3 {
        let Err(error) = fs::rename(tree, place) else {
            return Ok(());
        };
        if digest_of_folder(place).is_ok_and(|digest| digest == locked.digest) {
            return Ok(());
        }
        if !place.is_dir() {
            return Err(cannot_write(place, &error));
        }
        // Somebody has changed it: it is taken away whole, so that nobody sees half of it.
        let old = aside.join(format!("old-{attempt}"));
        if let Err(error) = fs::rename(place, old)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(cannot_write(place, &error));
        }
    }
    let busy = std::io::Error::other("it is changed again and again");
    Err(cannot_write(place, &busy))
}

/// Makes a folder that nobody else may look into.
pub(crate) fn make_private(folder: &Path) -> Result<(), Diagnostic> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(|error| cannot_write(folder, &error))
}

pub(crate) fn cannot_write(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("cannot-write", "cannot write")
        .detail(format!("`{}`", path.display()))
        .cause(error.to_string())
}

/// Removes what an init has left that was killed long ago.
fn sweep(packages: &Path) {
    let Ok(entries) = fs::read_dir(packages) else {
        return;
    };
    for entry in entries.flatten() {
        let is_aside = entry.file_name().to_string_lossy().starts_with(ASIDE);
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if is_aside && age.is_some_and(|age| age > LONGEST * 12) {
            // What can't be removed is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The `git` program, in the folder that it fetches to.
struct Git<'a> {
    tree: &'a Path,
    package: &'a Package,
}

impl Git<'_> {
    /// Fetches and checks out; gives the commit.
    async fn fetch(&self, wanted: Option<&Locked>) -> Result<String, Diagnostic> {
        self.run(&["init", "--quiet", "--template="]).await?;
        let reference = self.package.reference.as_deref();
        let wanted = wanted.map(|wanted| wanted.commit.as_str());
        let commit = match self.shallow(wanted.or(reference).unwrap_or("HEAD")).await {
            Ok(commit) => commit,
            // Not every server gives a single commit, and no short name of one.
            Err(_) => self.whole(wanted, reference).await?,
        };
        let checkout = ["checkout", "--quiet", "--force", "--detach", &commit];
        self.run(&checkout).await?;
        Ok(commit)
    }

    async fn shallow(&self, wanted: &str) -> Result<String, Diagnostic> {
        let url = self.package.url.as_str();
        let fetch = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--depth=1",
            "--",
            url,
            wanted,
        ];
        self.run(&fetch).await?;
        self.commit("FETCH_HEAD").await
    }

    async fn whole(
        &self,
        wanted: Option<&str>,
        reference: Option<&str>,
    ) -> Result<String, Diagnostic> {
        let url = self.package.url.as_str();
        let all = [
            "+HEAD:refs/dmp/HEAD",
            "+refs/heads/*:refs/dmp/heads/*",
            "+refs/tags/*:refs/dmp/tags/*",
        ];
        let fetch = ["fetch", "--quiet", "--no-tags", "--", url];
        self.run(&[&fetch[..], &all[..]].concat()).await?;
        if let Some(wanted) = wanted {
            return self.commit(wanted).await.map_err(|_| {
                Diagnostic::error("no-commit", "a locked commit is gone")
                    .detail(format!(
                        "`{}` has no commit {wanted}, which `dmp.lock.hcl` names",
                        self.package
                    ))
                    .help("`dmp init --upgrade` takes what is there now")
            });
        }
        let Some(reference) = reference else {
            return self.commit("refs/dmp/HEAD").await;
        };
        for name in [
            format!("refs/dmp/tags/{reference}"),
            format!("refs/dmp/heads/{reference}"),
            reference.to_owned(),
        ] {
            if let Ok(commit) = self.commit(&name).await {
                return Ok(commit);
            }
        }
        Err(
            Diagnostic::error("no-reference", "no such version of a module").detail(format!(
                "`git::{}` has no branch, tag or commit `{reference}`",
                self.package.url
            )),
        )
    }

    /// The commit of a name.
    async fn commit(&self, name: &str) -> Result<String, Diagnostic> {
        let name = format!("{name}^{{commit}}");
        let out = self
            .run(&[
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &name,
            ])
            .await?;
        // Older versions print the option too.
        let commit = out.lines().last().unwrap_or_default().trim().to_owned();
        let is_commit =
            [40, 64].contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_commit {
            true => Ok(commit),
            false => Err(self.failed("git named no commit")),
        }
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, Diagnostic> {
        let mut command = Command::new("git");
        command
            .args([
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.autocrlf=false",
            ])
            .args(["-c", "advice.detachedHead=false", "-c", "gc.auto=0"])
            .args(arguments)
            .current_dir(self.tree)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for name in OF_ANOTHER_REPOSITORY {
            command.env_remove(name);
        }
        let has_own_ssh = ["GIT_SSH", "GIT_SSH_COMMAND"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        if !has_own_ssh {
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        }
        self.log_in(&mut command);
        let child = command.spawn().map_err(|error| {
            self.failed(&format!("the program `git` can't be run: {error}"))
                .help("install git")
        })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let output = match tokio::time::timeout(LONGEST, child.wait_with_output()).await {
            Ok(output) => output.map_err(|error| self.failed(&error.to_string()))?,
            Err(_) => {
                // What git has started is ended with it.
                if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
                    let _ =
                        rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                let why = format!("no end after {} s", LONGEST.as_secs());
                return Err(self.failed(&why));
            }
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().rev().take(12).collect();
        let said = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
        Err(self.failed(&self.without_secrets(&said)))
    }

    /// Gives git the login of the URL, as a header for its host alone.
    fn log_in(&self, command: &mut Command) {
        let Some(header) = self.header() else {
            return;
        };
        let given = std::env::var("GIT_CONFIG_COUNT").ok();
        let count: usize = given.and_then(|count| count.parse().ok()).unwrap_or(0);
        let after_scheme = self.package.url.find("://").map_or(0, |at| at + 3);
        let rest = &self.package.url[after_scheme..];
        let host = rest.split('/').next().unwrap_or_default();
        let site = format!("{}{host}/", &self.package.url[..after_scheme]);
        command
            .env("GIT_CONFIG_COUNT", (count + 1).to_string())
            .env(
                format!("GIT_CONFIG_KEY_{count}"),
                format!("http.{site}.extraHeader"),
            )
            .env(
                format!("GIT_CONFIG_VALUE_{count}"),
                format!("Authorization: Basic {header}"),
            );
    }

    fn header(&self) -> Option<String> {
        let login = self.package.credentials.as_ref()?;
        Some(STANDARD.encode(format!("{}:{}", login.user, login.password)))
    }

    fn without_secrets(&self, said: &str) -> String {
        let login = self.package.credentials.as_ref();
        let words = login.map(|login| [login.user.clone(), login.password.clone()]);
        let words = words.into_iter().flatten().chain(self.header());
        words
            .filter(|word| !word.is_empty())
            .fold(said.to_owned(), |said, word| said.replace(&word, "…"))
    }

    fn failed(&self, why: &str) -> Diagnostic {
        Diagnostic::remote("cannot-fetch", "cannot fetch a module")
            .detail(format!("`{}`", self.package))
            .cause(why)
    }
}

/// How long git may take for one exchange.
const LONGEST: Duration = Duration::from_secs(300);
const ASIDE: &str = ".new-";
/// What git hands to programs that it starts: it would speak of another repository.
const OF_ANOTHER_REPOSITORY: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];
