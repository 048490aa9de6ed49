//! How long a certificate is valid, what it may be used for, and when it is renewed.

use dmp_sdk::{Answers, Attribute, Change, Diagnostic, Fetch, Schema, Type, Value};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, ExtendedKeyUsagePurpose as Extended, IsCa,
    KeyUsagePurpose as Usage, SerialNumber,
};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::random::bytes;
use crate::record::{number, text, whole, wrong};
use crate::wire::{Question, asked_at, now};

/// Uses that are flags of the key usage (RFC 5280, section 4.2.1.3), by Terraform's names.
const USES: [(&str, Usage); 9] = [
    ("digital_signature", Usage::DigitalSignature),
    ("content_commitment", Usage::ContentCommitment),
    ("key_encipherment", Usage::KeyEncipherment),
    ("data_encipherment", Usage::DataEncipherment),
    ("key_agreement", Usage::KeyAgreement),
    ("cert_signing", Usage::KeyCertSign),
    ("crl_signing", Usage::CrlSign),
    ("encipher_only", Usage::EncipherOnly),
    ("decipher_only", Usage::DecipherOnly),
];

/// Uses that are purposes of the extended key usage (RFC 5280, section 4.2.1.12).
const EXTENDED: [(&str, Extended); 7] = [
    ("any_extended", Extended::Any),
    ("server_auth", Extended::ServerAuth),
    ("client_auth", Extended::ClientAuth),
    ("code_signing", Extended::CodeSigning),
    ("email_protection", Extended::EmailProtection),
    ("timestamping", Extended::TimeStamping),
    ("ocsp_signing", Extended::OcspSigning),
];

/// Adds arguments and results to a schema.
pub(super) fn arguments(schema: Schema) -> Schema {
    schema
        .attribute("validity_period_hours", Attribute::required(Type::Number, "How many hours it is valid from its making on.").replaces())
        .attribute("early_renewal_hours", Attribute::default(Type::Number, "How many hours before its end a plan replaces it. A change is made in place.", 0))
        .attribute("allowed_uses", Attribute::required(Type::list(Type::String), "What it may be used for: `any_extended`, `cert_signing`, `client_auth`, `code_signing`, `content_commitment`, `crl_signing`, `data_encipherment`, `decipher_only`, `digital_signature`, `email_protection`, `encipher_only`, `key_agreement`, `key_encipherment`, `ocsp_signing`, `server_auth`, `timestamping`.").replaces())
        .attribute("is_ca_certificate", Attribute::default(Type::Bool, "Whether it may sign other certificates.", false).replaces())
        .attribute("max_path_length", Attribute::optional(Type::Number, "With `is_ca_certificate`: how many authorities may stand between it and a certificate for use. Not given: any number.").replaces())
        .attribute("cert_pem", Attribute::computed(Type::String, "The certificate, in PEM form."))
        .attribute("validity_start_time", Attribute::computed(Type::String, "From when it is valid (RFC 3339)."))
        .attribute("validity_end_time", Attribute::computed(Type::String, "Until when it is valid (RFC 3339)."))
        .attribute("ready_for_renewal", Attribute::computed(Type::Bool, "Whether the time of its renewal has come; the plan then replaces it."))
        .attribute("id", Attribute::computed(Type::String, "Its serial number, in hexadecimal digits."))
}

/// Refuses what makes no certificate, and demands the renewal when it is due.
pub(super) fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let hours = whole(change, "validity_period_hours", 1, 1_000_000)?;
    let early = whole(change, "early_renewal_hours", 0, 1_000_000)?;
    whole(change, "max_path_length", 0, 255)?;
    if let (Some(hours), Some(early)) = (hours, early)
        && early >= hours
    {
        return Err(wrong(
            "early_renewal_hours",
            "renewed as soon as it is made",
            format!("it is valid for {hours} hours, and renewed {early} hours before its end"),
        ));
    }
    let uses = change.planned.get("allowed_uses");
    for given in uses.as_items().into_iter().flatten() {
        let Some(given) = given.as_str() else {
            continue;
        };
        let names = || {
            USES.iter()
                .map(|(name, _)| *name)
                .chain(EXTENDED.iter().map(|(name, _)| *name))
        };
        if !names().any(|name| name == given) {
            return Err(
                wrong("allowed_uses", "not a use", format!("`{given}` is none"))
                    .did_you_mean(given, names()),
            );
        }
    }
    let Some(prior) = change.prior else {
        return Ok(());
    };
    if prior.get("ready_for_renewal").as_bool() == Some(true) {
        let end = text(prior, "validity_end_time");
        let early = number(prior, "early_renewal_hours");
        let why = format!("it ends on {end}, and is renewed {early} hours before");
        change.replace("ready_for_renewal", why);
    } else if change.changes("early_renewal_hours") {
        change.unknown("ready_for_renewal");
    }
    Ok(())
}

/// Puts validity, uses and a serial number into the parameters of a certificate.
pub(super) fn apply(params: &mut CertificateParams, wanted: &Value) -> Result<(), Diagnostic> {
    params.not_before = now();
    params.not_after = params.not_before + Duration::hours(number(wanted, "validity_period_hours"));
    // RFC 5280, section 4.1.2.2: positive, and at most 20 bytes.
    let mut serial = bytes(16)?;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from(serial));
    params.use_authority_key_identifier_extension = true;
    let length = wanted.get("max_path_length").as_i64();
    params.is_ca = match (wanted.get("is_ca_certificate").as_bool(), length) {
        (Some(true), Some(length)) => IsCa::Ca(BasicConstraints::Constrained(
            u8::try_from(length).unwrap_or(u8::MAX),
        )),
        (Some(true), None) => IsCa::Ca(BasicConstraints::Unconstrained),
        _ => IsCa::ExplicitNoCa,
    };
    params.key_usages.clear();
    params.extended_key_usages.clear();
    let uses = wanted.get("allowed_uses");
    for given in uses.as_items().into_iter().flatten() {
        let is_it = |name: &str| given.as_str() == Some(name);
        if let Some((_, usage)) = USES.iter().find(|(name, _)| is_it(name))
            && !params.key_usages.contains(usage)
        {
            params.key_usages.push(*usage);
        }
        if let Some((_, purpose)) = EXTENDED.iter().find(|(name, _)| is_it(name))
            && !params.extended_key_usages.contains(purpose)
        {
            params.extended_key_usages.push(purpose.clone());
        }
    }
    Ok(())
}

/// The results of a certificate that was made of these parameters.
pub(super) fn results(
    certificate: &Certificate,
    params: &CertificateParams,
) -> Result<Value, Diagnostic> {
    let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes);
    let time = |time: OffsetDateTime| {
        let text = time.format(&Rfc3339);
        text.map_err(|error| Diagnostic::bug(error.to_string()))
    };
    Ok(Value::object_of([
        ("cert_pem", certificate.pem().into()),
        ("id", hex::encode(serial.unwrap_or_default()).into()),
        ("validity_start_time", time(params.not_before)?.into()),
        ("validity_end_time", time(params.not_after)?.into()),
    ]))
}

/// The clock has to be asked.
pub(super) fn fetches() -> Result<Vec<Fetch>, Diagnostic> {
    Ok(vec![Question::Time.fetch()?])
}

/// The attributes with `ready_for_renewal` as it is at the time that was asked for.
pub(super) fn derive(attributes: &Value, answers: Answers<'_>) -> Result<Value, Diagnostic> {
    let end = text(attributes, "validity_end_time");
    let end = OffsetDateTime::parse(&end, &Rfc3339);
    let end = end.map_err(|_| Diagnostic::bug("the end of a certificate is no time"))?;
    let early = Duration::hours(number(attributes, "early_renewal_hours"));
    let is_due = asked_at(answers)? >= end - early;
    Ok(attributes.with("ready_for_renewal", is_due.into()))
}
