//! What was sent: forms, JSON, and files.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::schema::check::Given;

/// Parameters, in no particular order.
pub(crate) type Sent = BTreeMap<String, Given>;

/// A file that came with a call.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub path: std::path::PathBuf,
    pub size: u64,
}

/// Takes percent signs away, and plus signs where they stand for blanks.
pub(crate) fn decode(text: &str, plus_is_blank: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) if plus_is_blank => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Reads a form or a query; a name that comes again makes a list.
pub(crate) fn form(text: &str) -> Sent {
    let mut sent = Sent::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name, true), decode(value, true));
        match sent.remove(&name) {
            None => sent.insert(name, Given::One(value)),
            Some(Given::One(first)) => sent.insert(name, Given::Many(vec![first, value])),
            Some(Given::Many(mut all)) => {
                all.push(value);
                sent.insert(name, Given::Many(all))
            }
        };
    }
    sent
}

/// Reads a JSON body.
///
/// # Errors
/// In the words of the real API's parser, as far as they can be known.
pub(crate) fn json(bytes: &[u8]) -> Result<Sent, String> {
    let place = "at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.\n";
    let read = serde_json::from_slice::<Value>(bytes);
    let value = read.map_err(|error| {
        let at = error.column();
        let near = if error.is_eof() {
            "(end of string)".to_owned()
        } else {
            String::from_utf8_lossy(bytes.get(at.saturating_sub(1)..).unwrap_or_default()).chars().take(20).collect()
        };
        format!(
            "malformed JSON string, neither tag, array, object, number, string or atom, at character offset {at} (before \"{near}\") {place}"
        )
    })?;
    let Value::Object(members) = value else {
        return Err(format!(
            "unexpected JSON value, an object is needed, {place}"
        ));
    };
    let one = |value: &Value| match value {
        Value::Null => None,
        Value::Bool(flag) => Some(i32::from(*flag).to_string()),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let given = members.iter().filter_map(|(name, value)| {
        let given = match value {
            Value::Array(all) => Given::Many(all.iter().filter_map(one).collect()),
            other => Given::One(one(other)?),
        };
        Some((name.clone(), given))
    });
    Ok(given.collect())
}

/// Takes a `multipart/form-data` body apart that was spooled to a file: parameters, and the file in it in a file of its own.
///
/// # Errors
/// What is wrong with the body.
pub(crate) fn multipart(spooled: &Path, boundary: &str) -> Result<(Sent, Option<Upload>), String> {
    let said = |error: std::io::Error| format!("can't read the upload: {error}");
    let mut reader = BufReader::new(std::fs::File::open(spooled).map_err(said)?);
    let mark = format!("--{boundary}");
    let mut sent = Sent::new();
    let mut upload = None;
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line).map_err(said)? == 0 || !line.starts_with(mark.as_bytes())
    {
        return Err("wrong boundary".into());
    }
    loop {
        let Some(part) = headers(&mut reader).map_err(said)? else {
            return Ok((sent, upload));
        };
        let start = reader.stream_position().map_err(said)?;
        let (length, is_last) = length(&mut reader, &mark).map_err(said)?;
        let end = reader.stream_position().map_err(said)?;
        reader.seek(SeekFrom::Start(start)).map_err(said)?;
        if let Some(name) = part.file {
            let path = PathBuf::from(format!("{}.file", spooled.display()));
            let mut out = BufWriter::new(std::fs::File::create(&path).map_err(said)?);
            std::io::copy(&mut (&mut reader).take(length), &mut out).map_err(said)?;
            out.flush().map_err(said)?;
            sent.insert(part.name, Given::One(name));
            upload = Some(Upload { path, size: length });
        } else {
            let mut value = Vec::new();
            (&mut reader)
                .take(length)
                .read_to_end(&mut value)
                .map_err(said)?;
            sent.insert(
                part.name,
                Given::One(String::from_utf8_lossy(&value).into_owned()),
            );
        }
        reader.seek(SeekFrom::Start(end)).map_err(said)?;
        if is_last {
            return Ok((sent, upload));
        }
    }
}

struct Part {
    name: String,
    file: Option<String>,
}

fn headers(reader: &mut impl BufRead) -> std::io::Result<Option<Part>> {
    let mut part = Part {
        name: String::new(),
        file: None,
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some(part));
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if !name.eq_ignore_ascii_case("content-disposition") {
            continue;
        }
        for piece in value.split(';').map(str::trim) {
            let quoted = |text: &str| text.trim_matches('"').to_owned();
            if let Some(name) = piece.strip_prefix("name=") {
                part.name = quoted(name);
            } else if let Some(file) = piece.strip_prefix("filename=") {
                part.file = Some(quoted(file));
            }
        }
    }
}

/// Reads to the next boundary; returns how many bytes came before it, and whether it was the last.
fn length(reader: &mut impl BufRead, mark: &str) -> std::io::Result<(u64, bool)> {
    let mut length = 0u64;
    let mut ending = 0u64;
    loop {
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok((length, true));
        }
        if line.starts_with(mark.as_bytes()) {
            let is_last = line.get(mark.len()..mark.len() + 2) == Some(b"--");
            return Ok((length.saturating_sub(ending), is_last));
        }
        length += read as u64;
        ending = if line.ends_with(b"\r\n") {
            2
        } else {
            u64::from(line.ends_with(b"\n"))
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_form_is_taken_out_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let spooled = folder.path().join("body");
        let content = b"one\r\n--no boundary\r\n\0\xff\r\n";
        let mut body = b"--B\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n--B\r\n\
            Content-Disposition: form-data; name=\"filename\"; filename=\"a.iso\"\r\nContent-Type: x/y\r\n\r\n"
            .to_vec();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--B--\r\n");
        std::fs::write(&spooled, body).expect("written");

        let (sent, upload) = multipart(&spooled, "B").expect("a form");

        assert_eq!(sent["content"], Given::One("iso".into()));
        assert_eq!(sent["filename"], Given::One("a.iso".into()));
        let upload = upload.expect("a file");
        assert_eq!(upload.size, content.len() as u64);
        assert_eq!(std::fs::read(upload.path).expect("the file"), content);
    }
}
