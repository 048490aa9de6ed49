//! Whom a certificate is for: subject and alternative names.

use std::net::IpAddr;

use dmp_sdk::{Attribute, Diagnostic, Schema, Type, Value};
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, SanType};

use crate::record::wrong;

/// The members of a subject, as Terraform names them, in the order in which they stand in it.
const MEMBERS: [&str; 8] = [
    "country",
    "organization",
    "organizational_unit",
    "locality",
    "province",
    "postal_code",
    "common_name",
    "serial_number",
];

/// The arguments.
pub(super) const ARGUMENTS: &[&str] = &["subject", "dns_names", "ip_addresses", "uris"];

/// Adds the arguments to a schema.
pub(super) fn arguments(schema: Schema) -> Schema {
    let subject = Type::object_of_optional(MEMBERS.map(|name| (name, Type::String)));
    let names = |doc| Attribute::optional(Type::list(Type::String), doc).replaces();
    schema
        .attribute("subject", Attribute::optional(subject, "Whom it is for: `common_name`, `organization`, `organizational_unit`, `country`, `province`, `locality`, `postal_code` and `serial_number`.").block().replaces())
        .attribute("dns_names", names("DNS names that it is for."))
        .attribute("ip_addresses", names("IP addresses that it is for."))
        .attribute("uris", names("URIs that it is for."))
}

/// The parameters of a certificate or a request for these names.
pub(super) fn params(wanted: &Value) -> Result<CertificateParams, Diagnostic> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(&wanted.get("subject"))?;
    for name in texts(wanted, "dns_names") {
        let name = ia5("dns_names", name)?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    for address in texts(wanted, "ip_addresses") {
        let parsed: IpAddr = address.parse().map_err(|_| {
            wrong(
                "ip_addresses",
                "not an IP address",
                format!("`{address}` is none"),
            )
        })?;
        params.subject_alt_names.push(SanType::IpAddress(parsed));
    }
    for uri in texts(wanted, "uris") {
        params
            .subject_alt_names
            .push(SanType::URI(ia5("uris", uri)?));
    }
    Ok(params)
}

fn ia5(attribute: &str, text: String) -> Result<Ia5String, Diagnostic> {
    let refused = wrong(
        attribute,
        "not an ASCII text",
        format!("`{text}` has other letters; write a DNS name in its `xn--` form"),
    );
    Ia5String::try_from(text).map_err(|_| refused)
}

fn texts(wanted: &Value, name: &str) -> Vec<String> {
    let value = wanted.get(name);
    let items = value.as_items().into_iter().flatten();
    let texts = items.filter_map(|item| Some(item.as_str()?.to_owned()));
    texts.collect()
}

fn subject(given: &Value) -> Result<DistinguishedName, Diagnostic> {
    let mut subject = DistinguishedName::new();
    for name in MEMBERS {
        let value = given.get(name);
        let Some(text) = value.as_str().filter(|text| !text.is_empty()) else {
            continue;
        };
        let kind = match name {
            "common_name" => DnType::CommonName,
            "organization" => DnType::OrganizationName,
            "organizational_unit" => DnType::OrganizationalUnitName,
            "country" => DnType::CountryName,
            "province" => DnType::StateOrProvinceName,
            "locality" => DnType::LocalityName,
            "postal_code" => DnType::CustomDnType(vec![2, 5, 4, 17]),
            _ => DnType::CustomDnType(vec![2, 5, 4, 5]),
        };
        // RFC 5280, appendix A.1: these two are printable strings.
        let value = if matches!(name, "country" | "serial_number") {
            let printable = PrintableString::try_from(text.to_owned());
            DnValue::PrintableString(printable.map_err(|_| {
                wrong(
                    "subject",
                    "not a printable text",
                    format!("`{name}` has letters beyond those that X.509 allows in it"),
                )
            })?)
        } else {
            DnValue::Utf8String(text.to_owned())
        };
        subject.push(kind, value);
    }
    Ok(subject)
}
