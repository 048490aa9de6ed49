//! A secret that is looked for everywhere: as it is, and in the forms that programs write it in.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use sha2::{Digest, Sha256};

/// A secret and the forms in which it may turn up.
pub struct Canary {
    /// The secret itself.
    pub secret: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    /// Prepares to look for a text of at least twelve bytes.
    ///
    /// # Panics
    /// If it is shorter: it would be found by chance.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        assert!(secret.len() >= 12, "too short to look for");
        let mut forms: Vec<(&'static str, Vec<u8>)> = vec![("as it is", secret.into())];
        for skipped in 0..3 {
            forms.push(("in base64", in_base64(secret.as_bytes(), skipped, false)));
            forms.push((
                "in base64 for URLs",
                in_base64(secret.as_bytes(), skipped, true),
            ));
        }
        let json = json_text(secret);
        forms.push(("in JSON within JSON", json_text(&json).into()));
        forms.push(("in JSON", json.into()));
        forms.push(("in JSON without other letters", ascii_json(secret).into()));
        forms.push(("for a shell", secret.replace('\'', "'\\''").into()));
        forms.push(("for a shell, in double quotes", shell_double(secret).into()));
        forms.push(("as debug text", debug_text(secret).into()));
        forms.push(("in HTML", html(secret).into()));
        for upper in [false, true] {
            forms.push(("in percent", percent(secret, upper).into()));
            forms.push((
                "in hexadecimal",
                hexadecimal(secret.as_bytes(), upper).into(),
            ));
        }
        let digest = Sha256::digest(secret.as_bytes());
        forms.push(("as SHA-256", digest.to_vec()));
        forms.push((
            "as SHA-256 in base64",
            STANDARD_NO_PAD.encode(digest).into(),
        ));
        for upper in [false, true] {
            forms.push((
                "as SHA-256 in hexadecimal",
                hexadecimal(&digest, upper).into(),
            ));
        }
        forms.dedup_by(|a, b| a.1 == b.1);
        Self {
            secret: secret.to_owned(),
            forms,
        }
    }

    /// The forms found in some bytes, also in what is compressed in them.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found: Vec<&'static str> = self
            .forms
            .iter()
            .filter(|(_, form)| contains(bytes, form))
            .map(|(name, _)| *name)
            .collect();
        for at in 0..bytes.len().saturating_sub(10) {
            let rest = &bytes[at..];
            if rest.starts_with(&[0x1f, 0x8b, 8]) {
                let mut inside = Vec::new();
                let _ = flate2::read::GzDecoder::new(rest)
                    .take(16 << 20)
                    .read_to_end(&mut inside);
                if !inside.is_empty() && !self.found_in(&inside).is_empty() {
                    found.push("compressed");
                }
            }
        }
        found.dedup();
        found
    }

    /// Where the secret is in the files below a folder: path and form. Links are not followed.
    ///
    /// # Panics
    /// If a folder can't be read.
    #[must_use]
    pub fn found_below(&self, folder: &Path) -> Vec<(PathBuf, &'static str)> {
        let mut found = Vec::new();
        let mut look = vec![folder.to_owned()];
        while let Some(folder) = look.pop() {
            for entry in std::fs::read_dir(&folder).expect("readable").flatten() {
                let path = entry.path();
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                if kind.is_dir() {
                    look.push(path);
                } else if kind.is_file() {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    found.extend(
                        self.found_in(&bytes)
                            .into_iter()
                            .map(|form| (path.clone(), form)),
                    );
                }
            }
        }
        found.sort();
        found
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else {
        return false;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(wanted) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// What is the same in base64 whatever stands around the secret, if it begins `skipped` bytes into a group.
fn in_base64(secret: &[u8], skipped: usize, is_url: bool) -> Vec<u8> {
    let mut bytes = vec![0; skipped];
    bytes.extend(secret);
    let whole = bytes.len() / 3 * 3;
    let text = match is_url {
        true => URL_SAFE.encode(&bytes[..whole]),
        false => STANDARD.encode(&bytes[..whole]),
    };
    // The first group also holds what stands before.
    text.as_bytes()[if skipped == 0 { 0 } else { 4 }..].to_vec()
}

fn json_text(text: &str) -> String {
    let whole = serde_json::to_string(text).unwrap_or_default();
    whole[1..whole.len() - 1].to_owned()
}

fn ascii_json(text: &str) -> String {
    let plain = json_text(text);
    let mut all = String::new();
    for letter in plain.chars() {
        if letter.is_ascii() {
            all.push(letter);
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                all.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    all
}

fn shell_double(text: &str) -> String {
    let mut all = String::new();
    for letter in text.chars() {
        if matches!(letter, '"' | '\\' | '$' | '`') {
            all.push('\\');
        }
        all.push(letter);
    }
    all
}

fn debug_text(text: &str) -> String {
    let whole = format!("{text:?}");
    whole[1..whole.len() - 1].to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
}

fn percent(text: &str, upper: bool) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                all.push(char::from(byte));
            }
            _ if upper => all.push_str(&format!("%{byte:02X}")),
            _ => all.push_str(&format!("%{byte:02x}")),
        }
    }
    all
}

fn hexadecimal(bytes: &[u8], upper: bool) -> String {
    let digits = |byte: &u8| match upper {
        true => format!("{byte:02X}"),
        false => format!("{byte:02x}"),
    };
    bytes.iter().map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const SECRET: &str = "Ka\"na'rie%&$x/<ü>-9f3a";

    #[test]
    fn each_form_is_found_and_nothing_else_is() {
        let canary = Canary::new(SECRET);
        assert_eq!(canary.found_in(b"Kanarie and other birds"), [""; 0]);
        let whole = format!("before {SECRET} after");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(whole.as_bytes()).expect("in memory");
        let texts: Vec<Vec<u8>> = vec![
            whole.clone().into(),
            STANDARD.encode(&whole).into(),
            STANDARD.encode(format!("x{whole}")).into(),
            STANDARD.encode(format!("xy{whole}")).into(),
            URL_SAFE.encode(&whole).into(),
            serde_json::to_vec(&whole).expect("in memory"),
            serde_json::to_vec(&serde_json::json!({ "a": whole }).to_string()).expect("in memory"),
            percent(&whole, true).into(),
            html(&whole).into(),
            hexadecimal(whole.as_bytes(), false).into(),
            format!("sha256:{}", hexadecimal(&Sha256::digest(SECRET), false)).into(),
            packed.finish().expect("in memory"),
        ];
        for text in texts {
            assert!(
                !canary.found_in(&text).is_empty(),
                "not found in {:?}",
                String::from_utf8_lossy(&text)
            );
        }
    }
}
