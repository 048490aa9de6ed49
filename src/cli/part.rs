//! The part of a stack that is named on the command line.

use clap::Args;
use dmp_lang::config::Endpoint;
use dmp_plan::selection::Selection;
use dmp_sdk::address::AddressError;
use dmp_sdk::{Diagnostic, Layer};
use serde::{Deserialize, Serialize};

/// Which instances of a stack it is about, as it was written.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Only {
    /// Only this resource, instance or module, and what it needs. Can be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Not this resource, instance or module, nor what needs it. Can be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub exclude: Vec<String>,
    /// Leave the layers below this one as they are recorded.
    #[arg(long, value_name = "LAYER")]
    pub from: Option<String>,
    /// Nothing above this layer: `network`, `machine`, `host`, `cluster`, `storage` or `platform`.
    #[arg(long, value_name = "LAYER")]
    pub through: Option<String>,
}

/// What part of a stack a plan is about, and what it is to do there beside what is described, as it was written.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PartOf {
    #[command(flatten)]
    #[serde(flatten)]
    pub only: Only,
    /// Replace this instance, whatever it is like. Can be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// If this resource, instance or module is to be deleted and can't be reached, forget it and what lives on it instead:
    /// nothing is called, and whatever is left of it stays. Can be given several times.
    #[arg(long, value_name = "ADDRESS")]
    #[serde(default)]
    pub forget_unreachable: Vec<String>,
    /// Take what is recorded for what is there, and read only what has to be.
    #[arg(long)]
    pub no_refresh: bool,
}

impl Only {
    /// The selection that it means.
    ///
    /// # Errors
    /// When something in it is no address or no layer.
    pub(crate) fn selection(&self) -> Result<Selection, Vec<Diagnostic>> {
        let part = PartOf {
            only: self.clone(),
            ..PartOf::default()
        };
        part.selection()
    }
}

impl PartOf {
    /// The selection that it means.
    ///
    /// # Errors
    /// When something in it is no address or no layer.
    pub(crate) fn selection(&self) -> Result<Selection, Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        let mut endpoints = |flag: &str, texts: &[String]| -> Vec<Endpoint> {
            let parsed = texts.iter().map(|text| endpoint(flag, text));
            let mut found = Vec::new();
            for endpoint in parsed {
                match endpoint {
                    Ok(endpoint) => found.push(endpoint),
                    Err(diagnostic) => wrong.push(diagnostic),
                }
            }
            found
        };
        let targets = endpoints("--target", &self.only.target);
        let excludes = endpoints("--exclude", &self.only.exclude);
        let forget_unreachable = endpoints("--forget-unreachable", &self.forget_unreachable);
        let replaced = endpoints("--replace", &self.replace);
        let mut replace = std::collections::BTreeSet::new();
        for endpoint in replaced {
            match endpoint {
                Endpoint::Resource(address) => {
                    replace.insert(address);
                }
                Endpoint::Module(path) => wrong.push(
                    Diagnostic::error("not-an-instance", "a module is not replaced as a whole")
                        .detail(format!("`--replace {path}` names a module"))
                        .help("name each instance that is to be replaced"),
                ),
            }
        }
        let mut layer = |flag: &str, text: &Option<String>| -> Option<Layer> {
            let text = text.as_ref()?;
            let found = Layer::parse(text);
            if found.is_none() {
                let all = Layer::ALL.map(Layer::as_str);
                wrong.push(
                    Diagnostic::error("not-a-layer", "there is no such layer")
                        .detail(format!("`{flag} {text}`"))
                        .help(format!("the layers are {}", all.join(", "))),
                );
            }
            found
        };
        let selection = Selection {
            targets,
            excludes,
            from: layer("--from", &self.only.from),
            through: layer("--through", &self.only.through),
            replace,
            forget_unreachable,
        };
        match wrong.is_empty() {
            true => Ok(selection),
            false => Err(wrong),
        }
    }
}

/// A resource, an instance, a module or an instance of one.
///
/// # Errors
/// When it is none of these.
pub(crate) fn endpoint(flag: &str, text: &str) -> Result<Endpoint, Diagnostic> {
    text.parse().map_err(|error: AddressError| {
        Diagnostic::error("not-an-address", "this is not an address")
            .detail(format!("`{flag} {text}`: {}", error.why))
            .help("such as `host_file.motd`, `module.site` or `core_value.a[\"key\"]`; quote it for your shell")
    })
}
