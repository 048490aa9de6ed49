//! `host_repository`: a source of packages for apt, with the key that signs it.
//!
//! One deb822 file and one key ring per repository. A key that is fetched from an address is pinned by its digest at
//! the first time; afterwards only that key is put back.

use std::time::Duration;

use dmp_sdk::{
    Answers, Attribute, Change, Claim, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::deb822::{self, Source};
use crate::facts::file;
use crate::kept::{keeping, with_kept};
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, list_value, optional_text, plan_host, text, texts,
    unreadable, whole_files, wrong,
};

/// The resource type.
pub(crate) struct HostRepository {
    schema: Schema,
}

impl HostRepository {
    pub(crate) fn new() -> Self {
        let words = || Type::list(Type::String);
        let empty = || Value::list(Vec::new());
        let schema = Schema::new("host_repository", "A source of packages for apt, signed by a key of its own.")
            .mark(MarkWay::NaturalKey(&["host", "name"]))
            .on_delete("The source, its key and its package lists are removed, or what stood there before dmp is put back. Installed packages stay.")
            .attribute("host", host_attribute())
            .attribute("name", Attribute::required(Type::String, "Name of the file in `/etc/apt/sources.list.d`, without its suffix.").replaces().unique())
            .attribute("uris", Attribute::required(words(), "Where the packages are."))
            .attribute("suites", Attribute::required(words(), "Suites: `bookworm`, or a path that ends with `/`."))
            .attribute("components", Attribute::default(words(), "Components: `main`. None for a suite that is a path.", empty()))
            .attribute("architectures", Attribute::default(words(), "Architectures. Not given: those of the machine.", empty()))
            .attribute("key", Attribute::optional(Type::String, "The armoured key that signs it."))
            .attribute("key_url", Attribute::optional(Type::String, "Where the machine fetches that key from."))
            .attribute("key_sha256", Attribute::optional_computed(Type::String, "Digest of the key. Not given: of the one fetched first."))
            .attribute("intact", Attribute::computed(Type::Bool, "Whether the file is just what dmp writes."));
        Self { schema }
    }
}

fn source(attributes: &Value) -> Source {
    Source {
        uris: texts(attributes, "uris"),
        suites: texts(attributes, "suites"),
        components: texts(attributes, "components"),
        architectures: texts(attributes, "architectures"),
    }
}

impl Resource for HostRepository {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["name"], || {
            deb822::script(&text(known.attributes, "name"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a package source", output));
        }
        let Some(found) = deb822::parse(&output.text()) else {
            return Ok(Reading::Absent);
        };
        let wanted = known.attributes;
        let has_key = found.key_sha256.is_some();
        // The pin stays what it is; another key on the machine is drift, not a new pin.
        let pin = optional_text(wanted, "key_sha256");
        let is_pinned = has_key && (pin.is_none() || pin == found.key_sha256);
        let digest = pin.or(found.key_sha256);
        let only_if = |name: &str, value: Value| {
            if wanted.get(name).is_null() {
                Value::null()
            } else {
                value
            }
        };
        let key_url = if has_key {
            wanted.get("key_url")
        } else {
            Value::null()
        };
        let attributes = wanted
            .with("uris", list_value(found.source.uris))
            .with("suites", list_value(found.source.suites))
            .with("components", list_value(found.source.components))
            .with("architectures", list_value(found.source.architectures))
            .with("key", only_if("key", found.key.into()))
            .with("key_url", key_url)
            .with("key_sha256", digest.into())
            .with("intact", (found.is_plain && is_pinned).into());
        Ok(Reading::Found(Object {
            attributes,
            id: Some(text(wanted, "name")),
        }))
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        let name = text(&change.planned, "name");
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            || name.starts_with(['-', '.'])
        {
            return Err(wrong(
                "name",
                "not a file's name",
                format!("apt reads only names of letters, digits, `.`, `_` and `-`, not `{name}`"),
            ));
        }
        for list in ["uris", "suites", "components", "architectures"] {
            if let Some(word) = texts(&change.planned, list)
                .iter()
                .find(|word| word.is_empty() || word.contains(char::is_whitespace))
            {
                return Err(wrong(
                    list,
                    "not a word",
                    format!("`{word}` is empty or has a space in it"),
                ));
            }
        }
        match (
            change.config.get("key").is_null(),
            change.config.get("key_url").is_null(),
        ) {
            (true, true) => {
                return Err(wrong(
                    "key",
                    "a repository without a key",
                    "neither `key` nor `key_url` is given: apt could not tell whose packages they are",
                ));
            }
            (false, false) => {
                return Err(wrong(
                    "key_url",
                    "two keys for one repository",
                    "`key` and `key_url` exclude each other",
                ));
            }
            _ => {}
        }
        if let Some(key) = change.planned.get("key").as_str() {
            let digest = file::digest(key.as_bytes());
            if change
                .config
                .get("key_sha256")
                .as_str()
                .is_some_and(|wanted| wanted != digest)
            {
                return Err(wrong(
                    "key_sha256",
                    "another key",
                    format!("the digest of `key` is {digest}"),
                ));
            }
            change.set("key_sha256", digest.into());
        } else if change.config.get("key_sha256").is_null()
            && change.prior.is_some()
            && change.changes("key_url")
        {
            change.unknown("key_sha256");
        }
        change.set("intact", true.into());
        if change.prior.is_none() && change.earlier.is_some() {
            change.note(format!(
                "a source `{name}` is there already; a delete puts it back"
            ));
        }
        Ok(())
    }

    fn claims(&self, value: &Value) -> Vec<Claim> {
        whole_files(value, "name", |name| {
            vec![
                format!("/etc/apt/sources.list.d/{name}.sources"),
                format!("/etc/apt/keyrings/{name}.asc"),
                format!("/etc/apt/keyrings/{name}.gpg"),
            ]
        })
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let of = if job.verb == Verb::Delete {
            job.prior()?
        } else {
            job.wanted()?
        };
        let on = known_machine(of)?;
        let name = text(of, "name");
        let (title, run) = if job.verb == Verb::Delete {
            (
                format!("remove the package source {name}"),
                Script::new(REMOVE),
            )
        } else {
            let mut content = deb822::render(&source(of));
            let key = optional_text(of, "key");
            let has_key = key.is_some();
            content.insert_str(0, &key.map(|key| key + "\n").unwrap_or_default());
            let size = content.len() - deb822::render(&source(of)).len();
            let run = Script::new(WRITE)
                .var(
                    "keep",
                    if job.verb == Verb::Create {
                        "yes"
                    } else {
                        "no"
                    },
                )
                .var("has_key", if has_key { "yes" } else { "no" })
                .var("key_size", size.saturating_sub(1).to_string())
                .var("url", text(of, "key_url"))
                .var("sha256", text(of, "key_sha256"))
                .stdin(content.into_bytes());
            (
                format!("set up the package source {name} and fetch its lists"),
                run,
            )
        };
        let is_recorded_only = job.verb == Verb::Update
            && job.prior.is_some_and(|prior| {
                let same = |name: &&str| prior.get(name) == of.get(name);
                flag(prior, "intact")
                    && [
                        "uris",
                        "suites",
                        "components",
                        "architectures",
                        "key",
                        "key_url",
                        "key_sha256",
                    ]
                    .iter()
                    .all(same)
            });
        let step = Step::new(title, &on, keeping(run.var("name", name), job.mark))
            .within(Duration::from_secs(900));
        Ok(Work::Steps(if is_recorded_only {
            Vec::new()
        } else {
            vec![step]
        }))
    }
}

const WRITE: &str = with_kept!(
    r#"
file=/etc/apt/sources.list.d/$name.sources
rings=/etc/apt/keyrings
mkdir -p "$rings" || exit 1
if [ "$keep" = yes ]; then
	dmp_keep source "$file"
	dmp_keep asc "$rings/$name.asc"
	dmp_keep gpg "$rings/$name.gpg"
fi
new=$(mktemp -d) || exit 1
trap 'rm -rf -- "$new"' EXIT
cat >"$new/input" || exit 1
if [ "$has_key" = yes ]; then
	head -c "$key_size" "$new/input" >"$new/key" || exit 1
	tail -c "+$((key_size + 2))" "$new/input" >"$new/source" || exit 1
else
	cp "$new/input" "$new/source" || exit 1
	if command -v curl >/dev/null 2>&1; then
		curl -fsSL --retry 3 --max-time 120 -o "$new/key" -- "$url" || exit 1
	elif command -v wget >/dev/null 2>&1; then
		wget -q -T 120 -O "$new/key" -- "$url" || { echo "$url can't be fetched" >&2; exit 1; }
	else
		/usr/lib/apt/apt-helper download-file "$url" "$new/key" >&2 || exit 1
	fi
fi
[ -s "$new/key" ] || { echo "the key is empty" >&2; exit 1; }
sum=$(sha256sum "$new/key") || exit 1
if [ -n "$sha256" ] && [ "${sum%% *}" != "$sha256" ]; then
	echo "the key has the digest ${sum%% *}, not $sha256: it is not the one that was pinned" >&2
	exit 1
fi
form=gpg
if head -n 1 "$new/key" | grep -q '^-----BEGIN'; then form=asc; fi
ring=$rings/$name.$form
printf 'Signed-By: %s\n' "$ring" >>"$new/source" || exit 1
cp "$new/key" "$ring.dmp-new" && chmod 0644 "$ring.dmp-new" && mv -f -- "$ring.dmp-new" "$ring" || exit 1
if [ "$form" = asc ]; then rm -f -- "$rings/$name.gpg"; else rm -f -- "$rings/$name.asc"; fi
cp "$new/source" "$file.dmp-new" && chmod 0644 "$file.dmp-new" && mv -f -- "$file.dmp-new" "$file" || exit 1
apt-get -q -o DPkg::Lock::Timeout=300 -o "Dir::Etc::SourceList=$file" -o Dir::Etc::SourceParts=- \
	-o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any update
"#
);

const REMOVE: &str = with_kept!(
    r#"
file=/etc/apt/sources.list.d/$name.sources
if [ -f "$file" ]; then
	apt-get indextargets --format '$(SOURCESENTRY) $(METAKEY) $(FILENAME)' 2>/dev/null | while read -r entry index list; do
		case $entry in "$file":*) ;; *) continue ;; esac
		# The file's name is the index's behind the repository's.
		base=${list%"$(printf %s "$index" | tr / _)"}
		rm -f -- "$list"
		[ "$base" = "$list" ] || rm -f -- "${base}InRelease" "${base}Release" "${base}Release.gpg"
	done
fi
dmp_put_back source "$file"
dmp_put_back asc "/etc/apt/keyrings/$name.asc"
dmp_put_back gpg "/etc/apt/keyrings/$name.gpg"
dmp_done
"#
);

#[cfg(test)]
mod tests {
    use dmp_sdk::Purpose;

    use super::*;
    use crate::on_host::tests::{a_machine, found, parse, plan, value};

    fn config(given: &[(&str, Value)]) -> Value {
        let base: [(&str, Value); 4] = [
            ("host", a_machine().to_value()),
            ("name", "kubernetes".into()),
            ("uris", list_value(vec!["https://pkgs.k8s.io/x/".into()])),
            ("suites", list_value(vec!["/".into()])),
        ];
        value(HostRepository::new().schema(), &[&base, given].concat())
    }

    #[test]
    fn what_was_written_is_no_change_and_an_edited_file_is() {
        let repository = HostRepository::new();
        let key = "-----BEGIN\nx\n";
        let config = config(&[("key", key.into())]);
        let text = deb822::render(&source(&config));
        let stdout = format!(
            "file\nkey {} {}\n{key}\n---\n{text}Signed-By: x\n",
            key.len(),
            file::digest(key.as_bytes())
        );
        let read = |stdout: &str| {
            found(parse(&repository, &config, Purpose::Refresh, stdout.as_bytes()).expect("parses"))
        };
        let whole = read(&stdout);
        assert_eq!(
            plan(&repository, &config, Some(&whole), None)
                .expect("plans")
                .value,
            whole
        );
        let edited = read(&stdout.replace("Types: deb", "Types: deb deb-src"));
        assert_ne!(
            plan(&repository, &config, Some(&edited), None)
                .expect("plans")
                .value,
            edited
        );
    }

    #[test]
    fn a_fetched_key_is_pinned_by_its_digest() {
        let repository = HostRepository::new();
        let config = config(&[("key_url", "https://pkgs.k8s.io/x/Release.key".into())]);
        assert!(
            !plan(&repository, &config, None, None)
                .expect("plans")
                .value
                .get("key_sha256")
                .is_known()
        );
        let text = deb822::render(&source(&config));
        let stdout = format!("file\nkey 3 abc\n\n---\n{text}Signed-By: x\n");
        let whole = found(
            parse(&repository, &config, Purpose::AfterWrite, stdout.as_bytes()).expect("parses"),
        );
        assert_eq!(whole.get("key_sha256"), "abc".into());
        assert_eq!(
            plan(&repository, &config, Some(&whole), None)
                .expect("plans")
                .value,
            whole
        );
        let without_key = found(
            parse(
                &repository,
                &whole,
                Purpose::Refresh,
                format!("file\n---\n{text}").as_bytes(),
            )
            .expect("parses"),
        );
        assert_ne!(
            plan(&repository, &config, Some(&without_key), None)
                .expect("plans")
                .value,
            without_key
        );
    }

    #[test]
    fn a_repository_has_exactly_one_key() {
        let error = |given: &[(&str, Value)]| {
            plan(&HostRepository::new(), &config(given), None, None)
                .err()
                .expect("is wrong")
                .to_string()
        };
        assert!(error(&[]).contains("neither `key` nor `key_url`"));
        assert!(
            error(&[("key", "a".into()), ("key_url", "b".into())]).contains("exclude each other")
        );
    }
}
