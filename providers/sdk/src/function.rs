//! Functions that a provider brings into the language, called as `provider::NAME::FUNCTION(…)`.
//!
//! They are pure: the same arguments always give the same result, nothing outside is asked, and no configuration of the provider
//! is needed. The language converts arguments, and keeps nulls, unknown values and marks away from them.

use crate::types::Type;
use crate::value::Value;

/// A function of a provider.
#[derive(Clone, Debug)]
pub struct ProviderFunction {
    /// Its name, without the provider's.
    pub name: &'static str,
    /// What it gives, in one sentence.
    pub doc: &'static str,
    /// Its parameters, in order; all have to be given.
    pub parameters: Vec<FunctionParameter>,
    /// The type of its result, as far as it is known without the arguments.
    pub result: Type,
    /// The call, with wholly known arguments of the parameters' types, none of them null.
    pub call: fn(&[Value]) -> Result<Value, FunctionFault>,
}

/// A parameter of a provider's function.
#[derive(Clone, Debug)]
pub struct FunctionParameter {
    /// Its name, for messages and the reference.
    pub name: &'static str,
    /// What an argument is converted to.
    pub ty: Type,
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFault {
    /// The argument at fault, if it is one alone; they count from 0.
    pub argument: Option<usize>,
    /// What is wrong with it. It may quote an argument: of sensitive ones it is not shown.
    pub text: String,
}

impl ProviderFunction {
    /// The name with the parameters, as the reference shows it.
    #[must_use]
    pub fn signature(&self) -> String {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|parameter| parameter.name)
            .collect();
        format!("{}({})", self.name, names.join(", "))
    }
}

impl FunctionFault {
    /// A fault of one argument.
    pub fn of(argument: usize, text: impl Into<String>) -> Self {
        Self {
            argument: Some(argument),
            text: text.into(),
        }
    }
}
