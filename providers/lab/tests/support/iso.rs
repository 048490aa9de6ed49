//! Small ISO 9660 images, for tests of what reads them.

/// Makes an image of files, each with its name as ISO 9660 has it, as Rock Ridge has it if it does, and its content.
pub(crate) fn image(label: &str, files: &[(&str, Option<&str>, &str)]) -> Vec<u8> {
    let first = 21;
    let mut image = vec![0u8; (first + files.len()) * 2048];
    let root = record(20, 2048, 2, &[0], &[]);
    let primary = &mut image[16 * 2048..17 * 2048];
    primary[..6].copy_from_slice(b"\x01CD001");
    primary[40..72].copy_from_slice(format!("{label:<32}").as_bytes());
    primary[156..156 + root.len()].copy_from_slice(&root);
    image[17 * 2048] = 255;
    let mut folder = root;
    folder.extend(record(20, 2048, 2, &[1], &[]));
    for (number, (name, long, content)) in (first..).zip(files) {
        let more = long.map(|name| {
            let mut more = b"NM\x00\x01\x00".to_vec();
            more.extend_from_slice(name.as_bytes());
            more[2] = u8::try_from(more.len()).expect("short");
            more
        });
        folder.extend(record(
            number,
            content.len(),
            0,
            name.as_bytes(),
            &more.unwrap_or_default(),
        ));
        image[number * 2048..number * 2048 + content.len()].copy_from_slice(content.as_bytes());
    }
    image[20 * 2048..20 * 2048 + folder.len()].copy_from_slice(&folder);
    image
}

fn record(start: usize, length: usize, flags: u8, name: &[u8], more: &[u8]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).expect("short").to_le_bytes();
    let mut record = vec![0u8; 33];
    record[2..6].copy_from_slice(&number(start));
    record[10..14].copy_from_slice(&number(length));
    record[25] = flags;
    record[32] = u8::try_from(name.len()).expect("short");
    record.extend_from_slice(name);
    if name.len().is_multiple_of(2) {
        record.push(0);
    }
    record.extend_from_slice(more);
    record[0] = u8::try_from(record.len()).expect("short");
    record
}
