//! What has to be known of image files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What the bytes of archives begin with: gzip, xz, Zstandard, bzip2, LZ4.
const ARCHIVES: [&[u8]; 5] = [
    b"\x1f\x8b",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"\x04\x22\x4d\x18",
];

/// Where a tar archive says that it is one.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// What a disk that can be booted from has at the end of its first sector.
const BOOT: (usize, &[u8]) = (510, b"\x55\xaa");

/// How an image keeps a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DiskFormat {
    Qcow2,
    /// Byte for byte.
    Raw,
}

impl DiskFormat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            DiskFormat::Qcow2 => "qcow2",
            DiskFormat::Raw => "raw",
        }
    }
}

/// The image of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiskImage {
    pub format: DiskFormat,
    /// The size of the disk.
    pub bytes: u64,
}

impl DiskImage {
    /// Looks whether a file is the image of a disk: in the form qcow2, or a raw one that can be booted from. Folders and archives
    /// are none.
    pub(crate) fn of(path: &Path) -> Option<DiskImage> {
        if let Some(bytes) = virtual_size(path) {
            return Some(DiskImage {
                format: DiskFormat::Qcow2,
                bytes,
            });
        }
        let mut sector = [0; 512];
        let mut file = File::open(path).ok()?;
        file.read_exact(&mut sector).ok()?;
        let has = |(at, mark): (usize, &[u8])| sector[at..].starts_with(mark);
        let is_archive = has(TAR) || ARCHIVES.iter().any(|mark| sector.starts_with(mark));
        if is_archive || !has(BOOT) {
            return None;
        }
        Some(DiskImage {
            format: DiskFormat::Raw,
            bytes: file.metadata().ok()?.len(),
        })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_disks_are_told_from_folders_and_archives() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            DiskImage::of(&path)
        };
        let sector = |begin: &[u8], (at, mark): (usize, &[u8])| {
            let mut sector = vec![0; 1024];
            sector[..begin.len()].copy_from_slice(begin);
            sector[at..at + mark.len()].copy_from_slice(mark);
            sector
        };
        let mut qcow2 = b"QFI\xfb".to_vec();
        qcow2.resize(24, 0);
        qcow2.extend((3u64 << 30).to_be_bytes());
        let found = of("a.qcow2", &qcow2).expect("one");
        assert_eq!((found.format, found.bytes), (DiskFormat::Qcow2, 3 << 30));
        let found = of("a.raw", &sector(b"\xeb", BOOT)).expect("one");
        assert_eq!((found.format, found.bytes), (DiskFormat::Raw, 1024));

        assert_eq!(of("a.tar.gz", &sector(b"\x1f\x8b", BOOT)), None);
        assert_eq!(of("a.tar", &sector(b"bin/", TAR)), None);
        assert_eq!(of("a.txt", b"short"), None);
        assert_eq!(DiskImage::of(folder.path()), None);
    }
}
