//! The stack's input variables: from the environment, `*.auto.hcl`, `--var-file` and `--var`, later ones winning; and what says
//! where a cluster or a cloud is from the lab of the stack, where nothing else does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dmp_lang::config::Module;
use dmp_lang::{Bindings, Sources, evaluate, parse_value, parse_values_file};
use dmp_sdk::{Diagnostic, Strictness, Value, convert};

use crate::arguments::Variables;
use crate::commands::lab_folder_of;

/// Collects the values of all input variables.
pub(crate) fn collect(
    module: &Module,
    directory: &Path,
    given: &Variables,
    sources: &mut Sources,
) -> Result<BTreeMap<Arc<str>, Value>, Vec<Diagnostic>> {
    let mut collected = Collected {
        module,
        values: BTreeMap::new(),
        diagnostics: Vec::new(),
    };
    for name in module.variables.keys() {
        if let Ok(text) = std::env::var(format!("DMP_VAR_{name}")) {
            collected.text(name, &text, &format!("DMP_VAR_{name}"));
        }
    }
    for file in auto_files(directory) {
        collected.file(&file, sources);
    }
    for file in &given.var_file {
        collected.file(file, sources);
    }
    for pair in &given.var {
        match pair.split_once('=') {
            Some((name, text)) => collected.text(name.trim(), text, "--var"),
            None => collected.diagnostics.push(
                Diagnostic::error("bad-variable", "unusable `--var`")
                    .detail(format!("`{pair}` is not of the form NAME=VALUE")),
            ),
        }
    }
    collected.lab(directory);
    collected.finish()
}

fn auto_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".auto.hcl"));
    files.sort();
    files
}

struct Collected<'a> {
    module: &'a Module,
    values: BTreeMap<Arc<str>, Value>,
    diagnostics: Vec<Diagnostic>,
}

impl Collected<'_> {
    /// Where a lab is served for the stack, it gives the values that say where a cluster or a cloud is. Where another place says
    /// any of them, that is another one, of which the lab knows nothing.
    fn lab(&mut self, directory: &Path) {
        let Ok(lab) = dmp_lab::Written::read(&lab_folder_of(directory)) else {
            return;
        };
        let authority = std::fs::read_to_string(&lab.ca_file).unwrap_or_default();
        let endpoints = lab
            .endpoints
            .iter()
            .map(|endpoint| Value::from(endpoint.as_str()));
        let cluster = [
            Value::list(endpoints.collect()),
            Value::from(lab.token.as_str()),
            Value::from(authority.as_str()),
        ];
        self.give(&CLUSTER, cluster);
        let Some(openstack) = &lab.openstack else {
            return;
        };
        let cloud = [
            Value::from(openstack.auth_url.as_str()),
            Value::from(openstack.application_credential_id.as_str()),
            Value::from(openstack.application_credential_secret.as_str()),
            Value::from(openstack.region.as_str()),
            Value::from(authority.as_str()),
        ];
        self.give(&CLOUD, cloud);
    }

    /// Sets input variables that the stack has, if none of them is set.
    fn give<const N: usize>(&mut self, names: &[&str; N], values: [Value; N]) {
        if names.iter().any(|name| self.values.contains_key(*name)) {
            return;
        }
        for (name, value) in names.iter().zip(values) {
            self.set(name, &value, None);
        }
    }

    fn text(&mut self, name: &str, text: &str, origin: &str) {
        let Some(declared) = self.module.variables.get(name) else {
            self.unknown(name, origin, None);
            return;
        };
        match parse_value(text, &declared.ty, origin) {
            Ok(value) => self.set(name, &value, None),
            // The text may be a secret: it is no source to quote.
            Err(found) => self
                .diagnostics
                .extend(found.into_iter().map(|mut diagnostic| {
                    diagnostic.span = None;
                    diagnostic.help(format!(
                        "the value of the input variable `{name}` comes from {origin}"
                    ))
                })),
        }
    }

    fn file(&mut self, path: &Path, sources: &mut Sources) {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let diagnostic = Diagnostic::error("cannot-read", "cannot read a file of values");
                self.diagnostics.push(
                    diagnostic
                        .detail(format!("`{name}`"))
                        .cause(error.to_string()),
                );
                return;
            }
        };
        sources.add(&name, text.as_str());
        let expressions = match parse_values_file(&text, &name) {
            Ok(expressions) => expressions,
            Err(found) => {
                self.diagnostics.extend(found);
                return;
            }
        };
        for (variable, expr) in expressions {
            if !self.module.variables.contains_key(&variable) {
                self.unknown(&variable, &name, Some(expr.span.clone()));
                continue;
            }
            match evaluate(&expr, &Bindings::new()) {
                Ok(value) => self.set(&variable, &value, Some(expr.span.clone())),
                Err(found) => self.diagnostics.extend(found),
            }
        }
    }

    fn unknown(&mut self, name: &str, origin: &str, span: Option<dmp_sdk::Span>) {
        let candidates = self.module.variables.keys().map(AsRef::as_ref);
        self.diagnostics.push(
            Diagnostic::error("unknown-variable", "unknown input variable")
                .detail(format!(
                    "the stack has no input variable `{name}`; {origin} sets it"
                ))
                .at(span)
                .did_you_mean(name, candidates),
        );
    }

    fn set(&mut self, name: &str, value: &Value, span: Option<dmp_sdk::Span>) {
        let Some((name, declared)) = self.module.variables.get_key_value(name) else {
            return;
        };
        match convert(value, &declared.ty, Strictness::Lenient) {
            Ok(value) => {
                self.values.insert(Arc::clone(name), value);
            }
            Err(error) => self.diagnostics.push(
                Diagnostic::error("wrong-type", "wrong type")
                    .detail(format!("the input variable `{name}`: {error}"))
                    .at(span),
            ),
        }
    }

    fn finish(mut self) -> Result<BTreeMap<Arc<str>, Value>, Vec<Diagnostic>> {
        for (name, declared) in &self.module.variables {
            let given = self
                .values
                .get(name)
                .filter(|value| declared.nullable || !value.is_null());
            match (given, &declared.default) {
                (Some(_), _) => {}
                (None, Some(default)) => {
                    self.values.insert(Arc::clone(name), default.clone());
                }
                (None, None) => self.diagnostics.push(
                    Diagnostic::error("missing-variable", "missing input variable")
                        .detail(format!("`{name}` has no default and was not given a value"))
                        .at(declared.span.clone())
                        .help(format!(
                            "give it with `--var {name}=…`, `--var-file`, or DMP_VAR_{name}"
                        )),
                ),
            }
        }
        if self.diagnostics.is_empty() {
            Ok(self.values)
        } else {
            Err(self.diagnostics)
        }
    }
}

/// What a lab gives of its Proxmox VE, in this order.
const CLUSTER: [&str; 3] = ["proxmox_endpoints", "proxmox_api_token", "proxmox_ca"];

/// What it gives of its OpenStack.
const CLOUD: [&str; 5] = [
    "openstack_auth_url",
    "openstack_application_credential_id",
    "openstack_application_credential_secret",
    "openstack_region",
    "openstack_ca",
];
