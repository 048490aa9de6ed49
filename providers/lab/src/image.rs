//! What has to be known of image files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Returns the size of the disk in a qcow2 image; none where it is no such image.
pub(crate) fn virtual_size(path: &Path) -> Option<u64> {
    let mut header = [0; 32];
    File::open(path).ok()?.read_exact(&mut header).ok()?;
    let size: [u8; 8] = header.get(24..32)?.try_into().ok()?;
    header
        .starts_with(b"QFI\xfb")
        .then(|| u64::from_be_bytes(size))
}

/// Compares a file with a checksum.
///
/// # Errors
/// What differs.
pub(crate) fn check(path: &Path, algorithm: &str, wanted: &str) -> Result<(), String> {
    let said = |error: std::io::Error| format!("can't read the file: {error}");
    let mut file = File::open(path).map_err(said)?;
    let found = crate::hash::of(algorithm, &mut file).map_err(said)?;
    let found = found.ok_or(format!(
        "the lab does not know checksums of the kind '{algorithm}'"
    ))?;
    if found == wanted {
        Ok(())
    } else {
        Err(format!(
            "checksum mismatch: got '{found}' != expect '{wanted}'"
        ))
    }
}
