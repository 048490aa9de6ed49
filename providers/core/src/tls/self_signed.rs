//! `core_self_signed_cert`: a certificate that its own key has signed, such as that of an authority.

use dmp_sdk::{Answers, Attribute, Change, Diagnostic, Fetch, Layer, Mark, Schema, Type, Value};

use super::{failed, key, names, validity};
use crate::record::{Chosen, text};

/// The type.
pub(crate) struct SelfSignedCert;

impl Chosen for SelfSignedCert {
    const SHOWN: &'static [&'static str] = names::ARGUMENTS;

    fn schema() -> Schema {
        let schema = Schema::new(
            "core_self_signed_cert",
            "A certificate signed by its own key: that of an authority, or one for tests. It is replaced before it ends, \
             by the first plan after `early_renewal_hours` have begun.",
        )
        .layer(Layer::Network)
        .on_delete("It leaves the state; it stays valid until its end.")
        .attribute(
            "private_key_pem",
            Attribute::required(Type::String, "The key that it is for and that signs it, in PEM form.")
                .sensitive()
                .replaces(),
        );
        validity::arguments(names::arguments(schema))
    }

    fn check(change: &mut Change<'_>) -> Result<(), Diagnostic> {
        validity::check(change)
    }

    fn choose(_mark: &Mark, wanted: &Value) -> Result<Value, Diagnostic> {
        let key = key("private_key_pem", &text(wanted, "private_key_pem"))?;
        let mut params = names::params(wanted)?;
        validity::apply(&mut params, wanted)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        validity::results(&certificate, &params)
    }

    fn fetches() -> Result<Vec<Fetch>, Diagnostic> {
        validity::fetches()
    }

    fn derive(attributes: Value, answers: Answers<'_>) -> Result<Value, Diagnostic> {
        validity::derive(&attributes, answers)
    }
}
