//! `host_archive`: an archive that is unpacked into a directory of its own.
//!
//! It is unpacked beside and takes the place in one move, so nobody ever sees half of it. A note in the directory says
//! which archive it came from; a directory without that note has somebody else's things in it and is never touched.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Fetch, Job, Known, MarkWay, Object, Reading, Resource,
    Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::archive::{self, Found, Unpacked};
use crate::facts::file::digest;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, optional_text, plan_host, text, unreadable, wrong,
};
use crate::resources::file::plan_path;

/// The resource type.
pub(crate) struct HostArchive {
    schema: Schema,
}

impl HostArchive {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_archive",
            "An archive (tar by itself or with gzip, xz, zstd or bzip2, or zip) that is unpacked into a directory of its own on a \
             machine. It comes from a `url`, from a `file` on the machine, or as `content_base64`: `filebase64(\"site.tar.gz\")`.",
        )
        .mark(MarkWay::NaturalKey(&["host", "path"]))
        .on_delete("The directory is removed with all that is in it.")
        .attribute("host", host_attribute())
        .attribute("path", Attribute::required(Type::String, "Absolute path of the directory. It may be there only if it is empty; its parent has to be.").replaces().unique())
        .attribute("url", Attribute::optional(Type::String, "Where the machine fetches the archive from; `sha256` is needed then."))
        .attribute("file", Attribute::optional(Type::String, "Absolute path of an archive on the machine. When it becomes another one it is unpacked again."))
        .attribute("content_base64", Attribute::optional(Type::String, "The archive itself in base64; for small ones."))
        .attribute("sha256", Attribute::optional_computed(Type::String, "Digest of the archive; another one is not unpacked."))
        .attribute("format", Attribute::optional_computed(Type::String, "`tar`, `tar.gz`, `tar.xz`, `tar.zst`, `tar.bz2` or `zip`. Not given: by the end of `url` or `file`. The machine needs the tool for it."))
        .attribute("strip_components", Attribute::default(Type::Number, "How many leading parts of the names in the archive are left out.", 0))
        .attribute("owner", Attribute::optional(Type::String, "User that gets all of it, by name or number. Not given: who connects."))
        .attribute("group", Attribute::optional(Type::String, "Group that gets all of it. Not given: as for the owner."))
        .attribute("intact", Attribute::computed(Type::Bool, "Whether what is there is just what was unpacked, and from the archive as it is."))
        .attribute("manifest", Attribute::computed(Type::String, "Digest over all that was unpacked: contents, modes, owners."));
        Self { schema }
    }
}

/// The formats, by the ends of names.
const FORMATS: [(&str, &str); 9] = [
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar.xz", "tar.xz"),
    (".txz", "tar.xz"),
    (".tar.zst", "tar.zst"),
    (".tar.bz2", "tar.bz2"),
    (".tbz2", "tar.bz2"),
    (".tar", "tar"),
    (".zip", "zip"),
];

fn format_of(name: &str) -> Option<&'static str> {
    let name = name.split(['?', '#']).next().unwrap_or_default();
    let mut formats = FORMATS.iter();
    formats
        .find(|(end, _)| name.ends_with(end))
        .map(|(_, format)| *format)
}

/// The attributes as they are found there.
fn attributes(wanted: &Value, found: &Unpacked) -> Value {
    let recorded = optional_text(wanted, "manifest");
    let is_whole = recorded
        .as_ref()
        .is_none_or(|recorded| *recorded == found.manifest);
    let is_from_it = found
        .source
        .as_ref()
        .is_none_or(|source| *source == found.sha256);
    wanted
        .with("sha256", found.sha256.as_str().into())
        .with("strip_components", found.strip.into())
        .with("intact", (is_whole && is_from_it).into())
        .with(
            "manifest",
            recorded.unwrap_or_else(|| found.manifest.clone()).into(),
        )
}

impl Resource for HostArchive {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["path"], || {
            let of = |name| text(known.attributes, name);
            archive::script(&of("path"), &of("file"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let path = text(known.attributes, "path");
        match archive::parse(output).ok_or_else(|| unreadable("an unpacked archive", output))? {
            Found::Nothing => Ok(Reading::Absent),
            Found::Unpacked(found) => Ok(Reading::Found(Object {
                attributes: attributes(known.attributes, &found),
                id: Some(path),
            })),
            Found::Foreign(what) => Err(Diagnostic::remote(
                "not-an-archives",
                "not an archive's directory",
            )
            .detail(format!("`{path}` {what}"))
            .help("give the archive a directory of its own, or move away what is there")),
        }
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_path(change)?;
        plan_source(change)?;
        let strip = change.planned.get("strip_components");
        if strip.is_known()
            && !strip
                .as_i64()
                .is_some_and(|strip| (0..=64).contains(&strip))
        {
            return Err(wrong(
                "strip_components",
                "not a number of parts",
                "a number from 0 to 64",
            ));
        }
        let path = text(&change.planned, "path");
        let is_as_it_was = change.prior.is_some_and(|prior| flag(prior, "intact"));
        change.set("intact", true.into());
        if change.prior.is_some_and(|prior| !flag(prior, "intact")) {
            change.note(format!("what was changed or added in {path} is lost"));
        }
        if change.prior.is_none() && change.earlier.is_some() {
            change.note(format!(
                "an archive was unpacked into {path} already; a delete removes it"
            ));
        }
        if !is_as_it_was || UNPACKED.iter().any(|name| change.changes(name)) {
            change.unknown("manifest");
        }
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        if job.verb == Verb::Delete {
            let prior = job.prior()?;
            let path = text(prior, "path");
            let run = Script::new(REMOVE).var("path", path.clone());
            let title = format!("remove {path}");
            return Ok(Work::Steps(vec![Step::new(
                title,
                &known_machine(prior)?,
                run,
            )]));
        }
        let wanted = job.wanted()?;
        let same = |prior: &Value| {
            let same = |name: &&str| prior.get(name) == wanted.get(name);
            flag(prior, "intact") && UNPACKED.iter().all(same)
        };
        if job.prior.is_some_and(same) {
            return Ok(Work::Steps(Vec::new()));
        }
        let path = text(wanted, "path");
        let strip = wanted.get("strip_components").as_i64().unwrap_or_default();
        let mut run = Script::new(UNPACK)
            .var("path", path.clone())
            .var("url", text(wanted, "url"))
            .var("file", text(wanted, "file"))
            .var("sha256", text(wanted, "sha256"))
            .var("format", text(wanted, "format"))
            .var("strip", strip.to_string())
            .var("owner", text(wanted, "owner"))
            .var("group", text(wanted, "group"));
        if let Some(content) = optional_text(wanted, "content_base64") {
            run = run.stdin(decoded(&content)?);
        }
        let step = Step::new(format!("unpack {path}"), &known_machine(wanted)?, run);
        Ok(Work::Steps(vec![step.within(Duration::from_secs(1800))]))
    }
}

/// What makes another directory of it.
const UNPACKED: [&str; 5] = ["sha256", "strip_components", "format", "owner", "group"];

fn decoded(content: &str) -> Result<Vec<u8>, Diagnostic> {
    let text: String = content.split_whitespace().collect();
    STANDARD
        .decode(text)
        .map_err(|_| wrong("content_base64", "not base64", "use `filebase64`"))
}

/// One source, its digest and its format.
fn plan_source(change: &mut Change<'_>) -> Result<(), Diagnostic> {
    let sources = ["url", "file", "content_base64"];
    let given: Vec<&str> = sources
        .into_iter()
        .filter(|name| !change.config.get(name).is_null())
        .collect();
    let &[source] = &given[..] else {
        return Err(match given.first() {
            None => wrong(
                "url",
                "an archive from nowhere",
                "none of `url`, `file` and `content_base64` is given",
            ),
            Some(_) => wrong(
                given[1],
                "two archives for one directory",
                format!("`{}` exclude each other", given.join("` and `")),
            ),
        });
    };
    let from = change.config.get(source);
    if source == "file" && from.as_str().is_some_and(|file| !file.starts_with('/')) {
        return Err(wrong("file", "not a path", "it does not begin with `/`"));
    }
    plan_format(change, source)?;
    let pinned = change.config.get("sha256");
    if let Some(pin) = pinned.as_str() {
        let is_digest = pin.len() == 64 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            return Err(wrong("sha256", "not a digest", "64 hexadecimal digits"));
        }
        change.set("sha256", pin.to_ascii_lowercase().into());
    }
    match source {
        "url" if pinned.is_null() => Err(wrong(
            "sha256",
            "an archive that could be any",
            "what comes from a `url` has to be the one that was meant",
        )
        .help("give its digest: `sha256sum FILE` tells it")),
        "content_base64" => match from.as_str() {
            Some(content) => {
                let real = digest(&decoded(content)?);
                if pinned.is_known() && !pinned.is_null() && text(&change.planned, "sha256") != real
                {
                    return Err(wrong(
                        "sha256",
                        "another archive",
                        format!("the digest of `content_base64` is {real}"),
                    ));
                }
                let marks = from.deep_marks().without_origins();
                change.set("sha256", Value::from(real).marked(&marks));
                Ok(())
            }
            None => {
                change.unknown("sha256");
                Ok(())
            }
        },
        _ => {
            let is_as_it_was = change.prior.is_some_and(|prior| flag(prior, "intact"));
            if pinned.is_null() && (!is_as_it_was || change.changes("file")) {
                change.unknown("sha256");
            }
            Ok(())
        }
    }
}

fn plan_format(change: &mut Change<'_>, source: &str) -> Result<(), Diagnostic> {
    let given = change.config.get("format");
    if !given.is_null() {
        return match given.as_str() {
            Some(format) if FORMATS.iter().all(|(_, known)| *known != format) => Err(wrong(
                "format",
                "not a format",
                format!(
                    "`{format}` is none of `tar`, `tar.gz`, `tar.xz`, `tar.zst`, `tar.bz2` and `zip`"
                ),
            )),
            _ => Ok(()),
        };
    }
    let name = change.config.get(source);
    if !name.is_known() {
        change.unknown("format");
        return Ok(());
    }
    let format = name
        .as_str()
        .filter(|_| source != "content_base64")
        .and_then(format_of);
    let format = format.ok_or_else(|| {
        wrong(
            "format",
            "an archive of no known format",
            format!("`{source}` does not end like one"),
        )
        .help("write `format = \"tar.gz\"`, or what it is")
    })?;
    change.set("format", format.into());
    Ok(())
}

const UNPACK: &str = r#"
refuse() {
	echo "$1" >&2
	exit 1
}
parent=$(dirname -- "$path") base=$(basename -- "$path")
[ -d "$parent" ] || refuse "the directory $parent does not exist: add a host_directory for it"
[ ! -L "$path" ] || refuse "$path is a symbolic link; it is left as it is"
if [ -e "$path" ] && [ ! -f "$path/.dmp-archive" ]; then
	rmdir -- "$path" 2>/dev/null || refuse "$path has something in it that no archive of dmp's has brought; it is left as it is"
fi
new=$parent/.dmp-$base.new old=$parent/.dmp-$base.old archive=$parent/.dmp-$base.archive
rm -rf -- "$new" "$old" "$archive" || exit 1
trap 'rm -rf -- "$new" "$archive"' EXIT
umask 077
if [ -n "$file" ]; then
	[ -f "$file" ] || refuse "there is no archive $file"
	archive=$file
	trap 'rm -rf -- "$new"' EXIT
elif [ -n "$url" ]; then
	if command -v curl >/dev/null 2>&1; then
		curl -fsSL --retry 3 --max-time 1500 -o "$archive" -- "$url" || exit 1
	elif command -v wget >/dev/null 2>&1; then
		wget -q -T 120 -O "$archive" -- "$url" || refuse "$url can't be fetched"
	else
		/usr/lib/apt/apt-helper download-file "$url" "$archive" >&2 || exit 1
	fi
else
	cat >"$archive" || exit 1
fi
sum=$(sha256sum -- "$archive") || exit 1
sum=${sum%% *}
[ -z "$sha256" ] || [ "$sum" = "$sha256" ] ||
	refuse "the archive has the digest $sum, not $sha256: it is not the one that was meant"
umask 022
mkdir -- "$new" || exit 1
need() {
	command -v "$1" >/dev/null 2>&1 || refuse "there is no $1: install ${2:-$1}"
}
case $format in
tar) unpack=cat ;;
tar.gz) unpack='gzip -dc' ;;
tar.xz) unpack='xz -dc' ;;
tar.zst) unpack='zstd -dc' ;;
tar.bz2) unpack='bzip2 -dc' ;;
zip) unpack= ;;
*) refuse "$format is no format" ;;
esac
if [ -n "$unpack" ]; then
	need tar
	case $unpack in xz*) need xz xz-utils ;; *) need "${unpack%% *}" ;; esac
	# Whose it is says the stack, not the archive.
	$unpack <"$archive" | tar -x -o --strip-components="$strip" -C "$new" -f - || refuse "$base can't be unpacked"
else
	need unzip
	unzip -q -o "$archive" -d "$new" </dev/null >&2 || refuse "$base can't be unpacked"
	while [ "$strip" -gt 0 ]; do
		strip=$((strip - 1)) without=$((${without:-0} + 1))
		mv -- "$new" "$new.outer" && mkdir -- "$new" || exit 1
		for entry in "$new.outer"/*/* "$new.outer"/*/.[!.]*; do
			[ ! -e "$entry" ] && [ ! -L "$entry" ] || mv -- "$entry" "$new/" || exit 1
		done
		rm -rf -- "$new.outer"
	done
	strip=${without:-0}
fi
chmod 0755 -- "$new" || exit 1
printf '%s %s\n' "$sum" "$strip" >"$new/.dmp-archive" || exit 1
if [ -n "$owner" ]; then chown -R -h -- "$owner" "$new" || exit 1; fi
if [ -n "$group" ]; then chgrp -R -h -- "$group" "$new" || exit 1; fi
sync "$new" 2>/dev/null || :
if [ -e "$path" ]; then mv -- "$path" "$old" || exit 1; fi
if ! mv -- "$new" "$path"; then
	[ ! -e "$old" ] || mv -- "$old" "$path"
	exit 1
fi
rm -rf -- "$old"
sync "$parent" 2>/dev/null || :
"#;

const REMOVE: &str = r#"
[ -e "$path" ] || exit 0
if [ -L "$path" ] || [ ! -f "$path/.dmp-archive" ]; then
	rmdir -- "$path" 2>/dev/null && exit 0
	echo "$path has something in it that no archive of dmp's has brought; it is left as it is" >&2
	exit 1
fi
rm -rf -- "$path"
"#;

#[cfg(test)]
mod tests;
