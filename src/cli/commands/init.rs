//! `dmp init`: fetches the modules that the stack's modules call, locks their commits, and makes the stack's folder ready.
//!
//! It may be run at any time, and by several at once. It never touches the state.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use dmp_lang::load::{load_with, read_lock};
use dmp_lang::package::{LOCK_FILE, Locked, LockedPackages, Package};
use dmp_sdk::Diagnostic;
use serde_json::json;

use super::{fail, fail_broken, print};
use crate::arguments::Init;
use crate::fetching::{cannot_write, fetch, make_private};
use crate::stack::{Stack, VERSION, state_folder};
use crate::{Context, Exit};

/// What became of a package.
struct Fetched {
    package: Package,
    locked: Locked,
    /// The commit that was locked before, if it is another one.
    before: Option<String>,
    /// Whether it was fetched now.
    is_fetched: bool,
}

pub(crate) async fn run(context: &Context, directory: &Path, arguments: &Init) -> Exit {
    let mut sources = dmp_lang::Sources::new();
    let locked = match read_lock(directory, &mut sources) {
        Ok(locked) => locked,
        Err(failed) => return fail(context, &sources, &failed),
    };
    let (lock, packages) = match fetch_all(directory, &locked, arguments.upgrade).await {
        Ok(found) => found,
        Err(failed) => {
            let loaded = load_with(directory, &locked);
            return fail(context, &loaded.sources, &failed);
        }
    };
    if let Err(failed) = write_lock(directory, &locked, &lock) {
        return fail(context, &dmp_lang::Sources::new(), &[failed]);
    }
    let stack = match Stack::open(context, directory, None) {
        Ok(stack) => stack,
        Err(broken) => return fail_broken(context, &broken),
    };
    fail(context, &stack.sources, &stack.warnings);
    let is_ignored = match keep_out_of_git(directory).await {
        Ok(is_ignored) => is_ignored,
        Err(failed) => return fail(context, &stack.sources, &[failed]),
    };
    let providers = providers_of(context, &stack);
    if arguments.json {
        let module = |fetched: &Fetched| {
            json!({
                "source": format!("git::{}", fetched.package.url),
                "ref": fetched.package.reference,
                "commit": fetched.locked.commit,
                "fetched": fetched.is_fetched,
                "before": fetched.before,
            })
        };
        let modules: Vec<_> = packages.iter().map(module).collect();
        let json = json!({
            "version": VERSION, "modules": modules, "providers": providers, "lock_written": lock != locked,
            "gitignore_written": is_ignored,
        });
        print(&format!("{json}\n"));
        return Exit::Success;
    }
    print(&in_words(&packages, &providers, lock != locked, is_ignored));
    Exit::Success
}

/// Fetches what is missing until nothing is: what was fetched may call further modules.
async fn fetch_all(
    directory: &Path,
    locked: &LockedPackages,
    upgrades: bool,
) -> Result<(LockedPackages, Vec<Fetched>), Vec<Diagnostic>> {
    let mut lock = match upgrades {
        true => LockedPackages::default(),
        false => locked.clone(),
    };
    let mut fetched: BTreeMap<Package, Locked> = BTreeMap::new();
    loop {
        let loaded = load_with(directory, &lock);
        // What has errors may call something else when they are mended.
        let errors = loaded.other_errors();
        if !errors.is_empty() {
            return Err(errors);
        }
        let missing: Vec<&Package> = loaded.missing.iter().collect();
        if missing.is_empty() {
            let packages = used(&loaded.used, &lock, locked, &fetched);
            let mut fresh = LockedPackages::default();
            for one in &packages {
                fresh.insert(&one.package, one.locked.clone());
            }
            return Ok((fresh, packages));
        }
        for package in missing {
            if fetched.contains_key(package) {
                let again = Diagnostic::error("changed-module", "a module does not stay as it is")
                    .detail(format!("`{package}` was fetched, and is another one again"));
                return Err(vec![
                    again.help("run `dmp init` again when nobody else changes it"),
                ]);
            }
            if fetched.len() >= MOST_PACKAGES {
                let many = Diagnostic::error("too-many-modules", "too many modules");
                let detail = format!("there are more than {MOST_PACKAGES} repositories");
                return Err(vec![many.detail(detail)]);
            }
            let found = fetch(directory, package, lock.get(package)).await;
            let found = found.map_err(|failed| vec![failed])?;
            lock.insert(package, found.clone());
            fetched.insert(package.clone(), found);
        }
    }
}

fn used(
    used: &[Package],
    lock: &LockedPackages,
    before: &LockedPackages,
    fetched: &BTreeMap<Package, Locked>,
) -> Vec<Fetched> {
    let one = |package: &Package| {
        let locked = lock.get(package)?.clone();
        let before = before.get(package).map(|before| before.commit.clone());
        Some(Fetched {
            package: package.clone(),
            before: before.filter(|before| *before != locked.commit),
            locked,
            is_fetched: fetched.contains_key(package),
        })
    };
    used.iter().filter_map(one).collect()
}

/// Writes the lock file, aside first. Without anything to lock there is none.
fn write_lock(
    directory: &Path,
    before: &LockedPackages,
    lock: &LockedPackages,
) -> Result<(), Diagnostic> {
    let path = directory.join(LOCK_FILE);
    let cannot = |error: &std::io::Error| cannot_write(&path, error);
    if before == lock {
        return Ok(());
    }
    if lock.is_empty() {
        return fs::remove_file(&path).map_err(|error| cannot(&error));
    }
    let mut aside = tempfile::Builder::new();
    let aside = aside.prefix(".dmp.lock.").permissions(read_by_all());
    let mut file = aside
        .tempfile_in(directory)
        .map_err(|error| cannot(&error))?;
    let written = file.write_all(lock.to_text().as_bytes());
    let written = written.and_then(|()| file.as_file().sync_all());
    written.map_err(|error| cannot(&error))?;
    let placed = file.persist(&path).map(|_| ());
    placed.map_err(|error| cannot(&error.error))
}

/// It is made as any file is, with what the umask takes away.
fn read_by_all() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

/// In a git checkout the stack's own folder is ignored: it holds the state. Says whether that had to be arranged.
async fn keep_out_of_git(directory: &Path) -> Result<bool, Diagnostic> {
    let folder = state_folder(directory);
    make_private(&folder)?;
    let mut git = tokio::process::Command::new("git");
    git.args(["check-ignore", "--quiet", "--", ".dmp/state.sqlite"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // 1: it is not ignored. All else: it is, or this is no checkout, or there is no git.
    let status = git.status().await.ok().and_then(|status| status.code());
    if status != Some(1) {
        return Ok(false);
    }
    let path = folder.join(".gitignore");
    fs::write(&path, "*\n").map_err(|error| cannot_write(&path, &error))?;
    Ok(true)
}

/// The providers that the blocks of all modules go through.
fn providers_of(context: &Context, stack: &Stack) -> Vec<String> {
    let mut found = BTreeSet::new();
    for module in &stack.configuration.modules {
        found.extend(module.providers.keys().map(|key| key.name.to_string()));
        for key in module.resources.keys() {
            let provider = context.registry.provider_of(key.mode, &key.resource_type);
            found.extend(provider.map(|provider| provider.to_string()));
        }
    }
    found.into_iter().collect()
}

fn in_words(
    packages: &[Fetched],
    providers: &[String],
    is_lock_written: bool,
    is_ignored: bool,
) -> String {
    let mut text = String::new();
    if !packages.is_empty() {
        text.push_str("Modules:\n");
    }
    for one in packages {
        let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
        let how = match (&one.before, one.is_fetched) {
            (Some(before), _) => format!("was {}", short(before)),
            (None, true) => "fetched".to_owned(),
            (None, false) => "is here".to_owned(),
        };
        let commit = short(&one.locked.commit);
        text.push_str(&format!("  {}   {commit}, {how}\n", one.package));
    }
    if is_lock_written {
        text.push_str(&format!(
            "`{LOCK_FILE}` is written. It says which commits are used: keep it in version control.\n"
        ));
    }
    let providers = match providers {
        [] => "none".to_owned(),
        some => format!("{}; built into dmp {VERSION}", some.join(", ")),
    };
    text.push_str(&format!("Providers: {providers}\n"));
    if is_ignored {
        text.push_str("`.dmp/.gitignore` is written: the state stays out of version control.\n");
    }
    text.push_str("The stack is ready. `dmp plan` shows what would be done.\n");
    text
}

const MOST_PACKAGES: usize = 1_000;
