//! The files behind a virtual machine's disks: what it has changed of a disk image is over the image, which all share; all other disks
//! begin empty.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::super::disks::{DISKS, file_of, grow};
use super::spec::{Content, Drive, Image};
use crate::Trouble;
use crate::image::virtual_size;

/// The program that makes images of disks.
pub(super) const QEMU_IMG: &str = "qemu-img";

/// How long it may take: what it does here does not depend on how large a disk is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the file with what a machine has changed of a disk that is made of an image.
pub(super) fn overlay_of(disk: &str) -> String {
    format!("{DISKS}/{disk}.qcow2")
}

/// Makes the files behind a machine's disks, where they are not there, as large as the disks are to be.
///
/// # Errors
/// Where the image that a disk was made of is gone or was changed: what the machine has written would be over something else.
pub(super) async fn prepare(place: &Path, drives: &[Drive]) -> Result<(), Trouble> {
    crate::folder::make(&place.join(DISKS))?;
    for drive in drives {
        let Content::Disk { disk, bytes, image } = &drive.content else {
            continue;
        };
        match image {
            Some(image) => over(place, disk, *bytes, image).await?,
            None => {
                let path = place.join(file_of(disk));
                grow(&path, *bytes).map_err(Trouble::file(&path))?;
            }
        }
    }
    Ok(())
}

/// Makes a disk over its image. A machine stays on the image that it was made of: a new one by the same name is for new machines.
async fn over(place: &Path, disk: &str, bytes: u64, image: &Image) -> Result<(), Trouble> {
    let (own, mark) = (
        place.join(overlay_of(disk)),
        place.join(DISKS).join(format!("{disk}.image")),
    );
    if own.exists() {
        same(&mark)?;
        // One that was made larger while the machine was off.
        if virtual_size(&own).is_some_and(|now| now < bytes) {
            let file = own.display().to_string();
            qemu_img(&["resize", "-q", "-f", "qcow2", &file, &bytes.to_string()]).await?;
        }
        return Ok(());
    }
    let begun = own.with_extension("qcow2.new");
    let below = image
        .path
        .canonicalize()
        .map_err(Trouble::file(&image.path))?;
    let (file, behind) = (begun.display().to_string(), below.display().to_string());
    let size = bytes.to_string();
    let words = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        image.format.name(),
        "-b",
        &behind,
        &file,
        &size,
    ];
    qemu_img(&words).await?;
    crate::folder::write_private(&mark, identity(&below)?.as_bytes())?;
    std::fs::rename(&begun, &own).map_err(Trouble::file(&own))
}

/// Returns what tells a file from another that has come in its place.
fn identity(path: &Path) -> Result<String, Trouble> {
    let about = std::fs::metadata(path).map_err(Trouble::file(path))?;
    Ok(format!(
        "{}\n{} {}\n",
        path.display(),
        about.len(),
        about.mtime()
    ))
}

/// Refuses an image that is not the one which a disk was made of.
fn same(mark: &Path) -> Result<(), Trouble> {
    let known = crate::folder::read(mark)?;
    let path = Path::new(known.lines().next().unwrap_or_default());
    if identity(path).is_ok_and(|now| now == known) {
        return Ok(());
    }
    Err(Trouble::Refused(format!(
        "a machine can't be started: the disk image that it was made of, `{}`, is not there any more or was changed; put it back, or make \
         the machine anew",
        path.display()
    )))
}

async fn qemu_img(words: &[&str]) -> Result<(), Trouble> {
    let refused = |reason: String| Trouble::Refused(format!("qemu-img {}: {reason}", words[0]));
    let ran = Command::new(QEMU_IMG)
        .args(words)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, ran)
        .await
        .map_err(|_| refused("it takes too long".into()))?
        .map_err(|error| refused(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refused(said.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_was_changed_or_is_gone_is_none_to_go_on_with() {
        let folder = tempfile::tempdir().expect("a folder");
        let (image, mark) = (
            folder.path().join("debian.raw"),
            folder.path().join("disk-0.image"),
        );
        std::fs::write(&image, "one").expect("written");
        let told = identity(&image).expect("there");
        std::fs::write(&mark, told).expect("written");
        assert!(same(&mark).is_ok());

        std::fs::write(&image, "another").expect("written");
        let refused = same(&mark).expect_err("changed").to_string();
        assert!(refused.contains("was changed"), "{refused}");

        std::fs::remove_file(&image).expect("there");
        assert!(same(&mark).is_err());
    }
}
