//! What a server is told at its first boot, as cloud-init reads it from Nova's metadata: a user, keys, and the host key that
//! dmp has made for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dmp_cloud::{FirstBoot, parts};

/// The user data as Nova takes it, of what dmp tells and what the person has written; `None` if there is neither.
pub(super) fn encoded(told: Option<&FirstBoot>, written: Option<&str>) -> Option<String> {
    let text = match (told, written) {
        (None, None) => return None,
        (None, Some(written)) => written.to_owned(),
        (Some(told), None) => told.cloud_config(),
        (Some(told), Some(written)) => parts(
            BOUNDARY,
            &[
                ("text/cloud-config", &told.cloud_config()),
                (kind(written), written),
            ],
        ),
    };
    Some(STANDARD.encode(text))
}

/// Nova takes 65535 bytes in base64.
pub(super) const MOST_BYTES: usize = 65_535 / 4 * 3;

/// How many bytes what dmp tells comes to at most, beside keys that the person names.
pub(super) const OWN_BYTES: usize = 2_000;

/// What cloud-init takes a text for, by its first line.
fn kind(text: &str) -> &'static str {
    let first = text.lines().next().unwrap_or_default().trim_end();
    match first {
        first if first.starts_with("#!") => "text/x-shellscript",
        "#cloud-config" => "text/cloud-config",
        "#include" => "text/x-include-url",
        "#cloud-boothook" => "text/cloud-boothook",
        first if first.starts_with("## template: jinja") => "text/jinja2",
        _ => "text/cloud-config",
    }
}

const BOUNDARY: &str = "dmp-part-7b41e9";

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn decoded(told: Option<&FirstBoot>, written: Option<&str>) -> String {
        let encoded = encoded(told, written).expect("there is something to say");
        String::from_utf8(STANDARD.decode(encoded).expect("base64")).expect("text")
    }

    #[test]
    fn what_is_told_is_yaml() {
        let told = FirstBoot {
            name: "web".into(),
            user: "debian".into(),
            keys: vec!["ssh-ed25519 AAAA a: b".into()],
            host_key: Some(("-----BEGIN\nx\n-----END".into(), "ssh-ed25519 BBBB".into())),
            upgrade: false,
        };
        let text = decoded(Some(&told), None);
        let yaml: Json = serde_yaml_ng::from_str(&text).expect("YAML");
        assert_eq!(
            yaml["users"][0]["ssh_authorized_keys"][0],
            "ssh-ed25519 AAAA a: b"
        );
        assert_eq!(
            yaml["ssh_keys"]["ed25519_private"],
            "-----BEGIN\nx\n-----END"
        );
        assert!(text.len() < OWN_BYTES);
    }

    #[test]
    fn what_a_person_writes_stands_beside_it() {
        let told = FirstBoot::default();
        let both = decoded(Some(&told), Some("#!/bin/sh\ntrue\n"));
        assert!(both.contains("text/x-shellscript") && both.contains("text/cloud-config"));
        assert_eq!(decoded(None, Some("#!/bin/sh\n")), "#!/bin/sh\n");
        assert_eq!(encoded(None, None), None);
    }
}
