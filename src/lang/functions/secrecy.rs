//! Identifiers, password hashes and encrypted texts.
//!
//! What is made by chance is known once something is applied, and is then the same each time that its expression is
//! evaluated: an apply evaluates some expressions more than once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{Span, Type, Value};

use super::{Failure, Fault, Function, Gives, number, text, text_of, whole_of};
use crate::evaluate::{Evaluation, unknown_not_null};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::inside(
        "bcrypt",
        &[text("text"), number("cost")],
        Gives::Text,
        bcrypt,
    )
    .optional(1),
    Function::new(
        "rsadecrypt",
        &[text("ciphertext"), text("privatekey")],
        Gives::Text,
        rsadecrypt,
    ),
    Function::inside("uuid", &[], Gives::Text, uuid),
    Function::new(
        "uuidv5",
        &[text("namespace"), text("name")],
        Gives::Text,
        uuidv5,
    ),
];

fn uuid(evaluation: &mut Evaluation, _: &[Value], span: &Span) -> Result<Value, Failure> {
    Ok(match evaluation.by_chance(span) {
        Some(bytes) => with_version(bytes, 4).into(),
        None => unknown_not_null(Type::String),
    })
}

fn bcrypt(evaluation: &mut Evaluation, arguments: &[Value], span: &Span) -> Result<Value, Failure> {
    let cost = match arguments.get(1) {
        Some(_) => whole_of(arguments, 1)?,
        None => i64::from(DEFAULT_COST),
    };
    let Some(salt) = evaluation.by_chance(span) else {
        return Ok(unknown_not_null(Type::String));
    };
    let given = text_of(arguments, 0);
    if given.len() > LONGEST_PASSWORD {
        let why = format!("bcrypt reads no more than {LONGEST_PASSWORD} bytes");
        return Err(Fault::of(0, why).into());
    }
    let cost = match u32::try_from(cost).ok() {
        Some(cost) if cost <= HIGHEST_COST => cost.max(LOWEST_COST),
        Some(_) => {
            let why = format!("a cost may be up to {HIGHEST_COST}: more takes minutes");
            return Err(Fault::of(1, why).into());
        }
        None => DEFAULT_COST,
    };
    let hash =
        bcrypt::hash_with_salt(given, cost, salt).map_err(|error| Fault::new(error.to_string()))?;
    Ok(hash.format_for_version(bcrypt::Version::TwoA).into())
}

fn uuidv5(arguments: &[Value]) -> Result<Value, Fault> {
    use sha1::Digest as _;
    let namespace = match text_of(arguments, 0) {
        "dns" => NAMESPACE,
        "url" => NAMESPACE + (1 << 96),
        "oid" => NAMESPACE + (2 << 96),
        "x500" => NAMESPACE + (4 << 96),
        given => parsed(given).ok_or_else(|| {
            Fault::of(
                0,
                "a UUID is required, or one of `dns`, `url`, `oid`, `x500`",
            )
        })?,
    };
    let mut hash = sha1::Sha1::new();
    hash.update(namespace.to_be_bytes());
    hash.update(text_of(arguments, 1));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Ok(with_version(bytes, 5).into())
}

fn parsed(text: &str) -> Option<u128> {
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let plain = inner.or_else(|| text.strip_prefix("urn:uuid:"));
    let text = plain.unwrap_or(text);
    let has_hyphens = text
        .char_indices()
        .all(|(at, c)| (c == '-') == [8, 13, 18, 23].contains(&at));
    let digits: String = match text.len() {
        36 if has_hyphens => text.chars().filter(|c| *c != '-').collect(),
        32 => text.to_owned(),
        _ => return None,
    };
    let are_digits = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_digits
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
}

fn with_version(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    parts.join("-")
}

/// RSA with the padding of PKCS #1 version 1.5, as clouds hand out first passwords.
fn rsadecrypt(arguments: &[Value]) -> Result<Value, Fault> {
    use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
    let ciphertext = STANDARD
        .decode(text_of(arguments, 0))
        .map_err(|_| Fault::of(0, "the ciphertext is not base64"))?;
    let unusable = || Fault::of(1, "the key is not a usable RSA key in the form of PEM");
    let key = pkcs8(text_of(arguments, 1)).ok_or_else(unusable)?;
    let key = PrivateDecryptingKey::from_pkcs8(&key).map_err(|_| unusable())?;
    let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| unusable())?;
    let mut room = vec![0; key.min_output_size()];
    let text = key
        .decrypt(&ciphertext, &mut room)
        .map_err(|_| Fault::of(0, "the key does not open the ciphertext"))?;
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Fault::of(0, "what is encrypted is not UTF-8 text")),
    }
}

/// A private key in the form of PKCS #8; older files hold PKCS #1, which that wraps.
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (kind, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    match kind {
        "PRIVATE KEY" => Some(der),
        "RSA PRIVATE KEY" => {
            let inside = [&VERSION_AND_ALGORITHM, tagged(0x04, &der)?.as_slice()].concat();
            tagged(0x30, &inside)
        }
        _ => None,
    }
}

/// DER: a tag, the length and the content.
fn tagged(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(content.len()).ok()?.to_be_bytes();
    Some([&[tag, 0x82, length[0], length[1]], content].concat())
}

/// Version 0, and the algorithm `rsaEncryption` without parameters, as RFC 5958 has them before the key.
const VERSION_AND_ALGORITHM: [u8; 18] = [
    0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00,
];
/// The namespace for names of hosts; the others differ in one digit (RFC 9562, appendix C).
const NAMESPACE: u128 = 0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8;
const DEFAULT_COST: u32 = 10;
const LOWEST_COST: u32 = 4;
const HIGHEST_COST: u32 = 18;
const LONGEST_PASSWORD: usize = 72;

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey, PrivateDecryptingKey};

    use super::*;

    fn pem(kind: &str, der: &[u8]) -> String {
        let body = STANDARD.encode(der);
        format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
    }

    #[test]
    fn an_rsa_key_opens_what_was_encrypted_for_it_in_both_forms() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
        let der: Pkcs8V1Der<'_> = key.as_der().expect("it has a form");
        let der = der.as_ref();
        let public = Pkcs1PublicEncryptingKey::new(key.public_key()).expect("a key");
        let mut room = vec![0; public.ciphertext_size()];
        let encrypted = public.encrypt(b"hunter2", &mut room).expect("is short");
        let encrypted = Value::from(STANDARD.encode(encrypted));
        // What PKCS #8 wraps begins after two headers of four bytes, and version and algorithm between them.
        let inner = &der[4 + VERSION_AND_ALGORITHM.len() + 4..];
        for key in [pem("PRIVATE KEY", der), pem("RSA PRIVATE KEY", inner)] {
            let opened = rsadecrypt(&[encrypted.clone(), key.as_str().into()]);
            assert_eq!(opened.map_err(|fault| fault.text), Ok("hunter2".into()));
        }
        let other = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
        let other: Pkcs8V1Der<'_> = other.as_der().expect("it has a form");
        let other = pem("PRIVATE KEY", other.as_ref());
        assert!(rsadecrypt(&[encrypted, other.as_str().into()]).is_err());
    }
}
