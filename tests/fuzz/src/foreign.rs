//! A state of Terraform or OpenTofu: it is refused, or what is made of it is a file of the language.

use std::sync::{Arc, OnceLock};

use dmp_cli::{Registry, import_blocks};
use dmp_lang::format_file;

pub(crate) fn read(bytes: &[u8]) {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let core = dmp_provider_core::CoreProvider::new();
        Registry::new(vec![Arc::new(core)])
    });
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok((blocks, _)) = import_blocks(text, registry) {
        let laid_out = format_file(&blocks, "imports.hcl");
        assert!(laid_out.is_ok(), "{laid_out:?}\n{blocks}");
    }
}

/// States as Terraform writes them, each with what another has not.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let state = |resource: &str| {
        format!(
            r#"{{"version":4,"terraform_version":"1.9.0","serial":3,"lineage":"l","outputs":{{}},"resources":[{resource}]}}"#
        )
    };
    let resource = |head: &str, kind: &str, instances: &str| {
        state(&format!(
            r#"{{{head}"mode":"managed","type":"{kind}","name":"a","provider":"provider[\"x\"]","instances":[{instances}]}}"#
        ))
    };
    let kinds = [
        "random_id",
        "random_uuid",
        "random_integer",
        "random_string",
        "random_password",
        "random_pet",
        "time_static",
        "time_offset",
        "tls_private_key",
        "local_file",
        "terraform_data",
        "aws_instance",
    ];
    let id = r#"{"schema_version":0,"attributes":{"id":"a-b","b64_url":"AQ","filename":"/a","keepers":null}}"#;
    let mut all: Vec<String> = kinds.iter().map(|kind| resource("", kind, id)).collect();
    for key in [
        "0",
        r#""k""#,
        r#""${k}\"""#,
        r#""\u0008""#,
        "-1",
        "1.5",
        "null",
    ] {
        let instance = format!(r#"{{"index_key":{key},"attributes":{{"id":"i"}}}}"#);
        all.push(resource("", "random_uuid", &instance));
    }
    for module in ["module.a", r#"module.a[0].module.b[\"k\"]"#, "a", ""] {
        all.push(resource(
            &format!(r#""module":"{module}","#),
            "random_uuid",
            id,
        ));
    }
    // A block without a name, which is no state of anybody.
    all.push(state(&format!(
        r#"{{"mode":"managed","type":"random_id","instances":[{id}]}}"#
    )));
    all.push(state(
        r#"{"mode":"data","type":"http","name":"a","instances":[]}"#,
    ));
    all.push(r#"{"version":3}"#.into());
    all.push(r#"{"encrypted_data":"x"}"#.into());
    all.into_iter().map(String::into_bytes).collect()
}
