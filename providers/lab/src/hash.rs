//! Digests in hexadecimal digits.

use std::io::{self, Read};

use aws_lc_rs::digest::{
    Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA224, SHA256, SHA384, SHA512, digest,
};

/// Returns the SHA-1 of a text, which configurations and instances are told apart by.
pub(crate) fn sha1(text: &str) -> String {
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// Returns the SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// Returns the digest of all that can be read, by the algorithm's name; none where the lab does not know it.
pub(crate) fn of(algorithm: &str, reader: &mut impl Read) -> io::Result<Option<String>> {
    let algorithm: &'static Algorithm = match algorithm {
        "sha1" => &SHA1_FOR_LEGACY_USE_ONLY,
        "sha224" => &SHA224,
        "sha256" => &SHA256,
        "sha384" => &SHA384,
        "sha512" => &SHA512,
        _ => return Ok(None),
    };
    let mut context = Context::new(algorithm);
    let mut part = vec![0; 1 << 16];
    loop {
        match reader.read(&mut part)? {
            0 => return Ok(Some(hex::encode(context.finish()))),
            read => context.update(part.get(..read).unwrap_or_default()),
        }
    }
}
