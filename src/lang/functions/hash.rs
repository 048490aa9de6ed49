//! Digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::Value;
use sha2::{Digest, Sha256, Sha512};

use super::{Fault, Function, Gives, text, text_of};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base64sha256", &[text("text")], Gives::Text, |a| {
        Ok(STANDARD.encode(Sha256::digest(bytes(a))).into())
    }),
    Function::new("base64sha512", &[text("text")], Gives::Text, |a| {
        Ok(STANDARD.encode(Sha512::digest(bytes(a))).into())
    }),
    Function::new("md5", &[text("text")], Gives::Text, md5),
    Function::new("sha1", &[text("text")], Gives::Text, sha1),
    Function::new("sha256", &[text("text")], Gives::Text, |a| {
        Ok(hex::encode(Sha256::digest(bytes(a))).into())
    }),
    Function::new("sha512", &[text("text")], Gives::Text, |a| {
        Ok(hex::encode(Sha512::digest(bytes(a))).into())
    }),
];

fn bytes(arguments: &[Value]) -> &[u8] {
    text_of(arguments, 0).as_bytes()
}

fn md5(arguments: &[Value]) -> Result<Value, Fault> {
    Ok(hex::encode(md5::compute(bytes(arguments)).0).into())
}

fn sha1(arguments: &[Value]) -> Result<Value, Fault> {
    use sha1::Digest as _;
    Ok(hex::encode(sha1::Sha1::digest(bytes(arguments))).into())
}
