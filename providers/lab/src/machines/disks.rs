//! The contents of a machine's disks, in its folder: by the name of the disk, and an ending that tells what it is.
//!
//! | name | what it holds |
//! | --- | --- |
//! | `disk-0` | a folder: what a `container` machine has changed of its root file system |
//! | `disk-0.qcow2`, `disk-0.image` | what a `vm` machine has changed of a disk image, and which image that is |
//! | `disk-1.raw` | a disk that began empty |

use std::fs::File;
use std::path::Path;

use crate::Trouble;

/// Where the contents are, in a machine's folder.
pub(super) const DISKS: &str = "disks";

/// What the name of a disk may be followed by.
const ENDINGS: [&str; 4] = ["", ".raw", ".qcow2", ".image"];

/// Returns the file with the content of a disk that began empty.
pub(super) fn file_of(disk: &str) -> String {
    format!("{DISKS}/{disk}.raw")
}

/// Makes a disk as large as it is to be, if it is smaller; a new one is empty and takes no room.
pub(super) fn grow(path: &Path, bytes: u64) -> std::io::Result<()> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    if file.metadata()?.len() < bytes {
        file.set_len(bytes)?;
    }
    Ok(())
}

/// Throws away the content of disks that the guest has no more.
pub(super) fn forget_others(place: &Path, own: &[String]) -> Result<(), Trouble> {
    for entry in std::fs::read_dir(place.join(DISKS))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let disk = name.split('.').next().unwrap_or_default();
        if own.iter().any(|known| known == disk) {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(Trouble::file(&path))?;
    }
    Ok(())
}

/// Gives the contents of disks other names, as a copy of a guest has them.
pub(super) fn rename(place: &Path, names: &[(String, String)]) -> Result<(), Trouble> {
    let all = place.join(DISKS);
    for is_first in [true, false] {
        for (from, to) in names.iter().filter(|(from, to)| from != to) {
            for ending in ENDINGS {
                // By way of a third name: two may change places.
                let third = format!("{to}{ending}.new");
                let (old, new) = if is_first {
                    (format!("{from}{ending}"), third)
                } else {
                    (third, format!("{to}{ending}"))
                };
                let (old, new) = (all.join(old), all.join(new));
                if old.exists() {
                    std::fs::rename(&old, &new).map_err(Trouble::file(&old))?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(place: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(place.join(DISKS)).expect("a folder");
        let names = entries.map(|entry| entry.expect("one").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn contents_take_their_disks_names_also_where_two_change_places_and_go_with_their_disks() {
        let folder = tempfile::tempdir().expect("a folder");
        let disks = folder.path().join(DISKS);
        std::fs::create_dir_all(disks.join("disk-3")).expect("made");
        for (name, text) in [
            ("disk-0.qcow2", "system"),
            ("disk-0.image", "which"),
            ("disk-1.raw", "data"),
        ] {
            std::fs::write(disks.join(name), text).expect("written");
        }
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());

        rename(
            folder.path(),
            &[pair("disk-0", "disk-1"), pair("disk-1", "disk-0")],
        )
        .expect("renamed");

        let read = |name: &str| std::fs::read_to_string(disks.join(name)).expect("there");
        assert_eq!(
            (read("disk-1.qcow2"), read("disk-0.raw")),
            ("system".to_owned(), "data".to_owned())
        );
        forget_others(folder.path(), &["disk-1".to_owned()]).expect("forgotten");
        assert_eq!(names(folder.path()), ["disk-1.image", "disk-1.qcow2"]);
    }
}
