//! Root file systems that machines are made of: folders of the host as they are, and archives, which are unpacked into the lab's folder.
//!
//! A machine stays on the one that it was made of: a new archive by the same name is for new machines.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::super::disks::DISKS;
use crate::Trouble;

/// Where unpacked archives are, in the lab's folder.
const UNPACKED: &str = "roots";

/// Where a machine keeps which one it is made of, in the folder of its disk.
const MADE_OF: &str = "made-of";

fn refused(reason: &str) -> Trouble {
    Trouble::Refused(format!("a machine can't be started: {reason}"))
}

/// Returns the root file system below a machine's own changes. One that has none yet takes the one that is told.
pub(super) async fn below(
    lab: &Path,
    machine: &Path,
    disk: &str,
    name: &str,
    told: Option<PathBuf>,
) -> Result<PathBuf, Trouble> {
    let own = machine.join(DISKS).join(disk);
    let mark = own.join(MADE_OF);
    if let Ok(known) = std::fs::read_to_string(&mark) {
        let known = PathBuf::from(known.trim());
        if known.is_dir() {
            return Ok(known);
        }
        return Err(refused(&format!(
            "the root file system that it was made of is not at `{}` any more",
            known.display()
        )));
    }
    let told = told.ok_or_else(|| {
        refused(&format!(
            "the lab does not know the root file system `{name}`"
        ))
    })?;
    let found = if told.is_dir() {
        told.canonicalize().map_err(Trouble::file(&told))?
    } else {
        unpacked(lab, name, &told).await?
    };
    if !has_init(&found) {
        return Err(refused(&format!(
            "`{}` is no root file system with an init: there is no /sbin/init in it",
            told.display()
        )));
    }
    crate::folder::make(&own)?;
    crate::folder::write_private(&mark, format!("{}\n", found.display()).as_bytes())?;
    Ok(found)
}

/// A link in it leads nowhere yet, as long as it is not the root.
fn has_init(root: &Path) -> bool {
    let paths = [
        "sbin/init",
        "usr/sbin/init",
        "lib/systemd/systemd",
        "usr/lib/systemd/systemd",
    ];
    paths
        .iter()
        .any(|path| root.join(path).symlink_metadata().is_ok())
}

/// Unpacks an archive, if that has not been done.
async fn unpacked(lab: &Path, name: &str, archive: &Path) -> Result<PathBuf, Trouble> {
    let about = std::fs::metadata(archive).map_err(Trouble::file(archive))?;
    let told = format!("{} {} {}", archive.display(), about.len(), about.mtime());
    let plain: String = name
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() { it } else { '-' })
        .collect();
    let all = lab.join(UNPACKED);
    let target = all.join(format!("{plain}-{}", &crate::hash::sha1(&told)[..12]));
    if target.is_dir() {
        return Ok(target);
    }
    crate::folder::make(&all)?;
    let begun = all.join(format!("{plain}.unfinished"));
    if begun.exists() {
        std::fs::remove_dir_all(&begun).map_err(Trouble::file(&begun))?;
    }
    std::fs::create_dir(&begun).map_err(Trouble::file(&begun))?;
    let output = Command::new("tar")
        .args(["--extract", "--numeric-owner", "--preserve-permissions"])
        .args(["--xattrs", "--xattrs-include=*", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(&begun)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| refused(&format!("tar: {error}")))?;
    if !output.status.success() {
        return Err(refused(&format!(
            "`{}` can't be unpacked: {}",
            archive.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    std::fs::rename(&begun, &target).map_err(Trouble::file(&target))?;
    Ok(target)
}

/// Removes unpacked archives that no machine is made of.
pub(in super::super) fn tidy(lab: &Path) {
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut used = BTreeSet::new();
    for machine in entries(lab.join("machines")) {
        for disk in entries(machine.path().join(DISKS)) {
            let known = std::fs::read_to_string(disk.path().join(MADE_OF));
            used.extend(known.ok().map(|text| PathBuf::from(text.trim())));
        }
    }
    for unpacked in entries(lab.join(UNPACKED)) {
        if !used.contains(&unpacked.path()) {
            // What stays is tried again the next time.
            let _ = std::fs::remove_dir_all(unpacked.path());
        }
    }
}
