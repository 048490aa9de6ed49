//! Files of a small ISO 9660 image: enough for a NoCloud seed, whoever made it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const SECTOR: u64 = 2048;

/// A seed has a few small files; more than this is none.
const LARGEST: u64 = 1 << 20;

/// What is in the root folder of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// The volume's name.
    pub label: String,
    /// Contents by name: names of Joliet or Rock Ridge where there are any, else those of ISO 9660 in small letters.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Reads the label and the root folder of an image; none where it is no such image, or a damaged one.
pub(crate) fn read(path: &Path) -> Option<Image> {
    let mut file = File::open(path).ok()?;
    let primary = sector(&mut file, 16)?;
    if primary.get(..6)? != b"\x01CD001" {
        return None;
    }
    let label = String::from_utf8_lossy(primary.get(40..72)?)
        .trim_end()
        .to_owned();
    let mut volume = primary;
    let mut is_joliet = false;
    for number in 17..32 {
        let other = sector(&mut file, number)?;
        match other.first()? {
            2 if matches!(other.get(88..91)?, b"%/@" | b"%/C" | b"%/E") => {
                volume = other;
                is_joliet = true;
            }
            255 => break,
            _ => {}
        }
    }
    let (start, length) = extent(volume.get(156..190)?)?;
    let mut files = BTreeMap::new();
    let folder = bytes(&mut file, start, length)?;
    let mut at = 0;
    while at < folder.len() {
        let size = usize::from(*folder.get(at)?);
        if size == 0 {
            // A record does not reach over the end of a sector.
            at = (at / 2048 + 1) * 2048;
            continue;
        }
        let record = folder.get(at..at + size)?;
        at += size;
        let is_folder = record.get(25)? & 2 != 0;
        if is_folder {
            continue;
        }
        let (start, length) = extent(record)?;
        files.insert(name(record, is_joliet)?, bytes(&mut file, start, length)?);
    }
    Some(Image { label, files })
}

fn sector(file: &mut File, number: u64) -> Option<Vec<u8>> {
    bytes(file, number, SECTOR)
}

fn bytes(file: &mut File, start: u64, length: u64) -> Option<Vec<u8>> {
    if length > LARGEST {
        return None;
    }
    let mut found = vec![0; usize::try_from(length).ok()?];
    file.seek(SeekFrom::Start(start * SECTOR)).ok()?;
    file.read_exact(&mut found).ok()?;
    Some(found)
}

/// Returns where a record's content begins, in sectors, and how long it is.
fn extent(record: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize| {
        Some(u64::from(u32::from_le_bytes(
            record.get(at..at + 4)?.try_into().ok()?,
        )))
    };
    Some((number(2)?, number(10)?))
}

fn name(record: &[u8], is_joliet: bool) -> Option<String> {
    let length = usize::from(*record.get(32)?);
    let raw = record.get(33..33 + length)?;
    if is_joliet {
        let units: Vec<u16> = raw
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        let name = String::from_utf16_lossy(&units);
        return Some(name.split(';').next()?.to_owned());
    }
    // After the name, padded to an even length, come entries of Rock Ridge.
    let mut rest = record
        .get(33 + length + (length + 1) % 2..)
        .unwrap_or_default();
    while let Some((kind, size)) = rest.get(..2).zip(rest.get(2)) {
        let entry = rest
            .get(..usize::from(*size))
            .filter(|entry| entry.len() > 3)?;
        if kind == b"NM" {
            return Some(String::from_utf8_lossy(entry.get(5..)?).into_owned());
        }
        rest = rest.get(entry.len()..)?;
    }
    let name = String::from_utf8_lossy(raw).to_ascii_lowercase();
    let name = name.split(';').next()?.trim_end_matches('.').to_owned();
    Some(match name.as_str() {
        "user_dat" | "user_data" => "user-data".into(),
        "meta_dat" | "meta_data" => "meta-data".into(),
        "network_" | "network_config" | "network_c" => "network-config".into(),
        _ => name,
    })
}

#[cfg(test)]
#[path = "../../tests/support/iso.rs"]
mod made;

#[cfg(test)]
mod tests {
    use super::made;
    use super::*;

    #[test]
    fn a_seed_is_read_by_its_long_and_by_its_short_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seed.iso");
        for name in [Some("user-data"), None] {
            std::fs::write(
                &path,
                made::image(
                    "cidata",
                    &[
                        ("USER_DAT.;1", name, "#cloud-config\n"),
                        ("META_DAT.;1", None, "x: 1\n"),
                    ],
                ),
            )
            .expect("written");
            let read = read(&path).expect("an image");
            assert_eq!(read.label, "cidata");
            assert_eq!(read.files["user-data"], b"#cloud-config\n");
            assert_eq!(read.files["meta-data"], b"x: 1\n");
        }
    }

    #[test]
    fn what_is_no_image_or_a_cut_one_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seed.iso");
        let whole = made::image("cidata", &[("USER_DAT.;1", None, "x")]);
        for part in [0, 100, 16 * 2048 + 5, 17 * 2048, 20 * 2048 + 10] {
            std::fs::write(&path, &whole[..part]).expect("written");
            assert_eq!(read(&path), None, "{part} bytes");
        }
    }
}
