//! Package sources in deb822 form, as they stand in `/etc/apt/sources.list.d/*.sources`.

use std::collections::BTreeMap;

use dmp_sdk::Script;

/// Reads a source and its key.
const SCRIPT: &str = r#"
file=/etc/apt/sources.list.d/$name.sources
[ -f "$file" ] || exit 0
echo file
for key in "/etc/apt/keyrings/$name.asc" "/etc/apt/keyrings/$name.gpg"; do
	if [ -f "$key" ] && grep -q -F "Signed-By: $key" "$file"; then
		sum=$(sha256sum -- "$key") || exit 1
		echo "key $(wc -c <"$key") ${sum%% *}"
		case $key in *.asc) cat -- "$key" ;; esac
		echo
		break
	fi
done
echo ---
cat -- "$file"
"#;

/// The script for a source.
pub(crate) fn script(name: &str) -> Script {
    Script::new(SCRIPT).var("name", name)
}

/// A source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uris: Vec<String>,
    pub(crate) suites: Vec<String>,
    pub(crate) components: Vec<String>,
    pub(crate) architectures: Vec<String>,
}

/// A source as found, with its key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) source: Source,
    /// An armoured key's text.
    pub(crate) key: Option<String>,
    pub(crate) key_sha256: Option<String>,
    /// Whether the file is only what dmp writes.
    pub(crate) is_plain: bool,
}

/// Understands the script's output. `None`: there is no such source.
pub(crate) fn parse(output: &str) -> Option<Found> {
    let rest = output.strip_prefix("file\n")?;
    let mut found = Found::default();
    let mut source = rest;
    if let Some(rest) = rest.strip_prefix("key ") {
        let (head, rest) = rest.split_once('\n')?;
        let (size, sum) = head.trim().split_once(' ')?;
        found.key_sha256 = Some(sum.to_owned());
        let size: usize = size.parse().ok()?;
        if let Some(key) = rest.get(..size).filter(|_| !rest.starts_with("\n---\n")) {
            found.key = Some(key.to_owned());
            source = &rest[size..];
        } else {
            source = rest;
        }
    }
    let source = source.trim_start_matches('\n').strip_prefix("---\n")?;
    let fields = fields(source);
    let words = |name: &str| -> Vec<String> {
        let field = fields.get(name).map(String::as_str).unwrap_or_default();
        field.split_whitespace().map(str::to_owned).collect()
    };
    found.source = Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        architectures: words("architectures"),
    };
    found.is_plain = source.starts_with(&render(&found.source)) && words("enabled").is_empty();
    Some(found)
}

/// Fields of the first stanza, by lower-case name; continued lines are joined.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            if fields.is_empty() {
                continue;
            }
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some(field) = fields.get_mut(&last) {
                field.push('\n');
                field.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.to_ascii_lowercase();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    fields
}

/// The file's text, all but its last line, `Signed-By`, which depends on the key's form.
pub(crate) fn render(source: &Source) -> String {
    let mut text = format!(
        "# Managed by dmp.\nTypes: deb\nURIs: {}\nSuites: {}\n",
        source.uris.join(" "),
        source.suites.join(" ")
    );
    let mut optional = |name: &str, words: &[String]| {
        if !words.is_empty() {
            text.push_str(&format!("{name}: {}\n", words.join(" ")));
        }
    };
    optional("Components", &source.components);
    optional("Architectures", &source.architectures);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            uris: vec!["https://pkgs.k8s.io/core:/stable:/v1.36/deb/".into()],
            suites: vec!["/".into()],
            components: Vec::new(),
            architectures: vec!["amd64".into()],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxyz\n---\n-----END\n";
        let output = format!(
            "file\nkey {} abc\n{key}\n---\n{}Signed-By: /etc/apt/keyrings/k.asc\n",
            key.len(),
            render(&source())
        );
        let found = parse(&output).expect("is there");
        assert_eq!((found.source, found.is_plain), (source(), true));
        assert_eq!(
            (found.key.as_deref(), found.key_sha256.as_deref()),
            (Some(key), Some("abc"))
        );
    }

    #[test]
    fn a_binary_key_has_a_digest_only_and_a_foreign_file_is_not_plain() {
        let text = "Types: deb\nURIs: https://a\n https://b\nSuites: x\nEnabled: no\n\nTypes: deb\nURIs: https://c\n";
        let found = parse(&format!("file\nkey 3 abc\n\n---\n{text}")).expect("is there");
        assert_eq!(found.source.uris, ["https://a", "https://b"]);
        assert_eq!(
            (found.key, found.key_sha256.as_deref(), found.is_plain),
            (None, Some("abc"), false)
        );
        assert_eq!(parse(""), None);
    }
}
