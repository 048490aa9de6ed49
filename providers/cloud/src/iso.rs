//! A small image of the ISO 9660 form with a few files in its root, under their own names by Rock Ridge: what a NoCloud
//! seed is. Equal files give equal images.
//!
//! Of ECMA-119 there is what a reader needs: one volume descriptor, both path tables, one directory.

/// A sector's bytes.
const SECTOR: usize = 2048;

/// A file of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name, such as `user-data`.
    pub name: &'a str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The image of these files. They fit into one directory's sector: there are at most a dozen of them.
#[must_use]
pub fn image(label: &str, files: &[File<'_>]) -> Vec<u8> {
    // 16 sectors for the system, two descriptors, two path tables, the directory, what follows its first entry.
    let (paths_little, paths_big, directory, continuation) = (18_u32, 19_u32, 20_u32, 21_u32);
    let mut next = 22_u32;
    let mut sorted: Vec<&File<'_>> = files.iter().collect();
    sorted.sort_by_key(|file| file.name);
    let mut records = vec![
        record(directory, SECTOR, b"\0", true, &first_entry(continuation)),
        record(directory, SECTOR, b"\x01", true, &mode(true)),
    ];
    let mut contents = Vec::new();
    for (index, file) in sorted.iter().enumerate() {
        let plain = format!("FILE{index}.;1");
        let entry = entry(file.name);
        records.push(record(
            next,
            file.bytes.len(),
            plain.as_bytes(),
            false,
            &entry,
        ));
        contents.extend_from_slice(&file.bytes);
        contents.resize(contents.len().next_multiple_of(SECTOR), 0);
        next += u32::try_from(file.bytes.len().div_ceil(SECTOR)).unwrap_or(u32::MAX);
    }
    let mut image = vec![0; 16 * SECTOR];
    image.extend(descriptor(
        label,
        next,
        (paths_little, paths_big),
        &records[0],
    ));
    image.extend(sector(&[&[255], b"CD001".as_slice(), &[1]].concat()));
    image.extend(sector(&path_table(directory.to_le_bytes(), [1, 0])));
    image.extend(sector(&path_table(directory.to_be_bytes(), [0, 1])));
    image.extend(sector(&records.concat()));
    image.extend(sector(&extension()));
    image.extend(contents);
    image
}

fn sector(bytes: &[u8]) -> Vec<u8> {
    let mut sector = bytes.to_vec();
    sector.resize(SECTOR, 0);
    sector
}

fn both(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn both_short(number: u16) -> [u8; 4] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

/// A directory record, with what Rock Ridge adds.
fn record(at: u32, length: usize, name: &[u8], is_directory: bool, more: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let mut record = vec![0, 0];
    record.extend(both(at));
    record.extend(both(length));
    // 2000-01-01: the same for the same files.
    record.extend([100, 1, 1, 0, 0, 0, 0]);
    record.push(if is_directory { 2 } else { 0 });
    record.extend([0, 0]);
    record.extend(both_short(1));
    record.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    record.extend(name);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record.extend(more);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record[0] = u8::try_from(record.len()).unwrap_or(u8::MAX);
    record
}

/// What makes a reader look for the longer names: `SP` once, and where the rest of its kind is.
fn first_entry(continuation: u32) -> Vec<u8> {
    let mut entry = vec![b'S', b'P', 7, 1, 0xbe, 0xef, 0];
    entry.extend([b'C', b'E', 28, 1]);
    entry.extend(both(continuation));
    entry.extend(both(0));
    entry.extend(both(u32::try_from(extension().len()).unwrap_or(0)));
    entry.extend(mode(true));
    entry
}

/// `ER`: which extension it is.
fn extension() -> Vec<u8> {
    let (id, description) = (b"RRIP_1991A", b"");
    let mut entry = vec![b'E', b'R', 0, 1, 10, 0, 0, 1];
    entry.extend(id);
    entry.extend(description);
    entry[2] = u8::try_from(entry.len()).unwrap_or(u8::MAX);
    entry
}

/// A file's own name and mode.
fn entry(name: &str) -> Vec<u8> {
    let mut entry = vec![b'N', b'M', 0, 1, 0];
    entry.extend(name.as_bytes());
    entry[2] = u8::try_from(entry.len()).unwrap_or(u8::MAX);
    entry.extend(mode(false));
    entry
}

/// `PX`: a directory that root enters, or a file that root reads.
fn mode(is_directory: bool) -> Vec<u8> {
    let (mode, links) = if is_directory {
        (0o040_500, 2)
    } else {
        (0o100_400, 1)
    };
    let mut entry = vec![b'P', b'X', 36, 1];
    for number in [mode, links, 0, 0] {
        entry.extend(both(number));
    }
    entry
}

fn path_table(directory: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    let mut table = vec![1, 0];
    table.extend(directory);
    table.extend(parent);
    table.extend([0, 0]);
    table
}

fn descriptor(label: &str, sectors: u32, paths: (u32, u32), root: &[u8]) -> Vec<u8> {
    let padded = |text: &str, length: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(length, b' ');
        bytes
    };
    let mut descriptor = vec![1];
    descriptor.extend(b"CD001");
    descriptor.extend([1, 0]);
    descriptor.extend(padded("", 32));
    descriptor.extend(padded(label, 32));
    descriptor.extend([0; 8]);
    descriptor.extend(both(sectors));
    descriptor.extend([0; 32]);
    descriptor.extend(both_short(1));
    descriptor.extend(both_short(1));
    descriptor.extend(both_short(u16::try_from(SECTOR).unwrap_or(2048)));
    descriptor.extend(both(10));
    descriptor.extend(paths.0.to_le_bytes());
    descriptor.extend([0; 4]);
    descriptor.extend(paths.1.to_be_bytes());
    descriptor.extend([0; 4]);
    // The root's record without what is longer than its place.
    let mut bare = root[..34].to_vec();
    bare[0] = 34;
    descriptor.extend(bare);
    descriptor.extend(padded("", 128 * 4 + 37 * 3));
    for _ in 0..4 {
        descriptor.extend(b"0000000000000000\0");
    }
    descriptor.push(1);
    sector(&descriptor)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn files() -> Vec<File<'static>> {
        vec![
            File {
                name: "user-data",
                bytes: b"#cloud-config\n".repeat(300),
            },
            File {
                name: "meta-data",
                bytes: b"instance-id: x\n".to_vec(),
            },
            File {
                name: "network-config",
                bytes: b"version: 2\n".to_vec(),
            },
        ]
    }

    #[test]
    fn it_has_the_form_and_equal_files_give_equal_images() {
        let made = image("cidata", &files());
        assert_eq!(made, image("cidata", &files()));
        assert_eq!(made.len() % SECTOR, 0);
        assert_eq!(&made[16 * SECTOR + 1..16 * SECTOR + 6], b"CD001");
        assert_eq!(&made[16 * SECTOR + 40..16 * SECTOR + 46], b"cidata");
        let sectors = u32::from_le_bytes(
            made[16 * SECTOR + 80..16 * SECTOR + 84]
                .try_into()
                .expect("four bytes"),
        );
        assert_eq!(sectors as usize * SECTOR, made.len());
        assert_eq!(made[16 * SECTOR + 881], 1, "the version of its structure");
    }

    /// Another program reads what was written, where there is one.
    #[test]
    #[expect(clippy::print_stderr, reason = "a test that was passed over says so")]
    fn another_program_reads_the_files_under_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("seed.iso");
        std::fs::write(&path, image("cidata", &files())).expect("writes");
        let readers: [(&str, &[&str]); 2] = [
            ("isoinfo", &["-R", "-x", "/meta-data", "-i"]),
            ("bsdtar", &["-xOf"]),
        ];
        for (program, arguments) in readers {
            let mut command = Command::new(program);
            command.args(arguments).arg(&path);
            if program == "bsdtar" {
                command.arg("meta-data");
            }
            if let Ok(output) = command.output() {
                let text = String::from_utf8_lossy(&output.stdout);
                assert_eq!(text, "instance-id: x\n", "{program}");
                return;
            }
        }
        eprintln!("SKIPPED: neither isoinfo nor bsdtar is here");
    }
}
