//! What cloud-init tells a machine at its first boot: a user, keys, and the host key that dmp has made for it.

use std::collections::BTreeMap;

use dmp_sdk::{Diagnostic, Marks, Value};
use serde_json::{Value as Json, json};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

/// What is told.
#[derive(Clone, Debug, Default)]
pub struct FirstBoot {
    /// The machine's name.
    pub name: String,
    /// The user who logs in.
    pub user: String,
    /// The keys that are let in.
    pub keys: Vec<String>,
    /// The host key, private and public; `None`: the machine makes its own.
    pub host_key: Option<(String, String)>,
    /// Whether packages are upgraded.
    pub upgrade: bool,
}

impl FirstBoot {
    /// As a `#cloud-config`.
    #[must_use]
    pub fn cloud_config(&self) -> String {
        let mut user = json!({ "name": self.user, "ssh_authorized_keys": self.keys });
        if self.user != "root" {
            user["sudo"] = json!("ALL=(ALL) NOPASSWD:ALL");
            user["shell"] = json!("/bin/bash");
            user["lock_passwd"] = json!(true);
        }
        let mut config = BTreeMap::from([
            ("hostname", json!(self.name)),
            ("manage_etc_hosts", json!(true)),
            ("disable_root", json!(self.user != "root")),
            ("ssh_pwauth", json!(false)),
            ("package_upgrade", json!(self.upgrade)),
            ("users", json!([user])),
        ]);
        if let Some((private, public)) = &self.host_key {
            let keys = json!({ "ed25519_private": private, "ed25519_public": public });
            config.insert("ssh_keys", keys);
        }
        format!("#cloud-config\n{}", lines(config))
    }
}

/// A line for each name. What stands behind it is JSON, which YAML takes as it is.
#[must_use]
pub fn lines(members: BTreeMap<&'static str, Json>) -> String {
    let line = |(name, value): (&str, Json)| format!("{name}: {value}\n");
    members.into_iter().map(line).collect()
}

/// Texts for cloud-init in one, each with its media type; it puts together those that are configuration.
#[must_use]
pub fn parts(boundary: &str, texts: &[(&str, &str)]) -> String {
    let part = |&(kind, text): &(&str, &str)| {
        let merge = match kind {
            "text/cloud-config" => "Merge-Type: list(append)+dict(no_replace,recurse_list)+str()\n",
            _ => "",
        };
        format!(
            "--{boundary}\nContent-Type: {kind}; charset=\"utf-8\"\nMIME-Version: 1.0\n{merge}\n{text}\n"
        )
    };
    let parts: String = texts.iter().map(part).collect();
    format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n{parts}--{boundary}--\n"
    )
}

/// A new host key, to be recorded before the machine is made: `private_key`, sensitive, and `public_key`.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn host_key() -> Result<Value, Diagnostic> {
    let failed = |error: ssh_key::Error| {
        Diagnostic::error("no-key", "cannot make a key").cause(error.to_string())
    };
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| {
        Diagnostic::error("no-key", "cannot make a key")
            .cause("the operating system gives no random numbers")
    })?;
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let key = PrivateKey::new(pair, "").map_err(failed)?;
    let private = key.to_openssh(LineEnding::LF).map_err(failed)?;
    let public = key.public_key().to_openssh().map_err(failed)?;
    Ok(Value::object_of([
        (
            "private_key",
            Value::from(private.as_str()).marked(&Marks::sensitive()),
        ),
        ("public_key", public.trim().into()),
    ]))
}
