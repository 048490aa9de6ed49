//! Texts in other encodings than UTF-8, as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::Value;
use encoding_rs::Encoding;

use super::{Fault, Function, Gives, text, text_of};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        "textdecodebase64",
        &[text("text"), text("encoding")],
        Gives::Text,
        textdecodebase64,
    ),
    Function::new(
        "textencodebase64",
        &[text("text"), text("encoding")],
        Gives::Text,
        textencodebase64,
    ),
];

/// What a name of the IANA registry stands for.
enum Charset {
    /// One byte a character, the first 256 of Unicode. (Browsers mean another by the name.)
    Latin1,
    Utf16 {
        is_big: bool,
    },
    Other(&'static Encoding),
}

fn charset(arguments: &[Value]) -> Result<Charset, Fault> {
    let name = text_of(arguments, 1);
    Ok(match name.to_ascii_lowercase().as_str() {
        "iso-8859-1" | "latin1" | "l1" | "iso_8859-1" | "cp819" | "ibm819" => Charset::Latin1,
        "utf-16be" => Charset::Utf16 { is_big: true },
        "utf-16le" => Charset::Utf16 { is_big: false },
        lower => match Encoding::for_label_no_replacement(lower.as_bytes()) {
            Some(found) => Charset::Other(found),
            None => return Err(Fault::of(1, format!("there is no encoding `{name}`"))),
        },
    })
}

fn textencodebase64(arguments: &[Value]) -> Result<Value, Fault> {
    let given = text_of(arguments, 0);
    let missing = || Fault::of(0, "the encoding lacks a character of the text");
    let bytes = match charset(arguments)? {
        Charset::Latin1 => given
            .chars()
            .map(|c| u8::try_from(c).map_err(|_| missing()))
            .collect::<Result<Vec<u8>, Fault>>()?,
        Charset::Utf16 { is_big } => given
            .encode_utf16()
            .flat_map(|unit| match is_big {
                true => unit.to_be_bytes(),
                false => unit.to_le_bytes(),
            })
            .collect(),
        Charset::Other(encoding) => {
            let (bytes, _, has_missing) = encoding.encode(given);
            if has_missing {
                return Err(missing());
            }
            bytes.into_owned()
        }
    };
    Ok(STANDARD.encode(bytes).into())
}

fn textdecodebase64(arguments: &[Value]) -> Result<Value, Fault> {
    let bytes = super::encoding::from_base64(text_of(arguments, 0))?;
    let wrong = || Fault::of(0, "what is encoded is not text in this encoding");
    let text = match charset(arguments)? {
        Charset::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Charset::Utf16 { is_big } => {
            let encoding = match is_big {
                true => encoding_rs::UTF_16BE,
                false => encoding_rs::UTF_16LE,
            };
            let decoded = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
            decoded.ok_or_else(wrong)?.into_owned()
        }
        Charset::Other(encoding) => {
            let decoded = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
            decoded.ok_or_else(wrong)?.into_owned()
        }
    };
    super::bounded(text.len())?;
    Ok(text.into())
}
