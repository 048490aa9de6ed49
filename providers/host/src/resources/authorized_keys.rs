//! `host_authorized_keys`: the keys by which a user may log in.
//!
//! A key is known by itself: its options and its comment may change. What others wrote into the file stays, unless the
//! whole file is dmp's. Since a wrong plan here locks out whoever made it, a plan that takes keys away from the user by
//! which dmp logs in says so.

use std::collections::BTreeMap;

use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Fetch, Job, Known, Machine, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::edited::with_edit;
use crate::facts::authorized::{self, Found, key_of, with_user};
use crate::kept::keeping;
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, machine, plan_host, text, texts, unreadable, wrong,
};
use crate::resources::group::plan_name;

/// The resource type.
pub(crate) struct HostAuthorizedKeys {
    schema: Schema,
}

impl HostAuthorizedKeys {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_authorized_keys",
            "The SSH keys by which a user of a machine may log in. The file and its directory belong to the user, and nobody else can \
             write them; where one of them is a symbolic link, nothing is written.",
        )
        .mark(MarkWay::NaturalKey(&["host", "user", "file"]))
        .on_delete("The keys that dmp brought are taken out, and the options of before are put back; with `exclusive` the file of before is. A file and a directory that dmp made go when they are empty.")
        .attribute("host", host_attribute())
        .attribute("user", Attribute::required(Type::String, "The user whose keys they are.").replaces().unique())
        .attribute("keys", Attribute::required(Type::set(Type::String), "Lines as of `authorized_keys`: `ssh-ed25519 AAAA… alice@desk`, or with options, `restrict,command=\"/usr/bin/backup\" ssh-ed25519 AAAA…`."))
        .attribute("exclusive", Attribute::default(Type::Bool, "Whether no other keys may be in the file; its comments go, too.", false))
        .attribute("file", Attribute::optional(Type::String, "Absolute path of the file, where sshd looks elsewhere; its directory must be there. Without it `.ssh/authorized_keys` in the home directory.").replaces().unique())
        .attribute("safe", Attribute::computed(Type::Bool, "Whether the file and its directory are such that sshd trusts them: the user's or root's, and written by nobody else."));
        Self { schema }
    }
}

/// Lines by the key in them.
fn by_key(lines: &[String]) -> BTreeMap<&str, &str> {
    lines
        .iter()
        .filter_map(|line| Some((key_of(line)?, line.trim())))
        .collect()
}

/// The attributes as they are found there; `None` if none of the keys is.
fn attributes(wanted: &Value, is_safe: bool, lines: &[String]) -> Option<Value> {
    let named = texts(wanted, "keys");
    let asked = by_key(&named);
    let is_exclusive = flag(wanted, "exclusive");
    let there: Vec<Value> = lines
        .iter()
        .filter(|line| is_exclusive || key_of(line).is_some_and(|key| asked.contains_key(key)))
        .map(|line| {
            // What only looks different is told as it was written.
            let same = named.iter().find(|named| named.trim() == line);
            Value::from(same.unwrap_or(line).as_str())
        })
        .collect();
    (!there.is_empty()).then(|| {
        wanted
            .with("keys", Value::set(there))
            .with("safe", is_safe.into())
    })
}

impl Resource for HostAuthorizedKeys {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        if !known.attributes.get("file").is_known() {
            return Ok(Vec::new());
        }
        fetch(known, &["user"], || {
            let of = |name| text(known.attributes, name);
            authorized::script(&of("user"), &of("file"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        let found =
            authorized::parse(output).ok_or_else(|| unreadable("authorized keys", output))?;
        let attributes = match found {
            Found::Nothing => None,
            Found::Refused(what) => {
                return Err(Diagnostic::remote("not-a-file", "not a regular file").detail(what));
            }
            Found::File { is_safe, lines } => attributes(known.attributes, is_safe, &lines),
        };
        Ok(match attributes {
            None => Reading::Absent,
            Some(attributes) => Reading::Found(Object {
                attributes,
                id: Some(text(known.attributes, "user")),
            }),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        plan_name(change, "user")?;
        let file = change.planned.get("file");
        if file
            .as_str()
            .is_some_and(|file| !file.starts_with('/') || file.ends_with('/'))
        {
            return Err(wrong(
                "file",
                "not a path",
                "it does not begin with `/`, or ends with it",
            ));
        }
        change.set("safe", true.into());
        let keys = change.planned.get("keys");
        if !keys.is_wholly_known() {
            return Ok(());
        }
        check(&texts(&change.planned, "keys"))?;
        tell(change);
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let (of, before) = match job.verb {
            Verb::Delete => (job.prior()?, job.prior),
            Verb::Create => (job.wanted()?, earlier),
            _ => (job.wanted()?, job.prior),
        };
        let is_delete = job.verb == Verb::Delete;
        let like = if is_delete { earlier } else { Some(of) };
        let differs = |name: &&str| before.is_none_or(|before| before.get(name) != of.get(name));
        if !is_delete && !["keys", "exclusive", "safe"].iter().any(differs) {
            return Ok(Work::Steps(Vec::new()));
        }
        let (wanted, had) = (
            like.map(|like| texts(like, "keys")).unwrap_or_default(),
            before
                .map(|before| texts(before, "keys"))
                .unwrap_or_default(),
        );
        let (wanted, had) = (by_key(&wanted), by_key(&had));
        let lines: Vec<String> = wanted
            .iter()
            .map(|(key, line)| format!("{key} {line}"))
            .collect();
        let left: Vec<&str> = had
            .keys()
            .filter(|key| !wanted.contains_key(*key))
            .copied()
            .collect();
        let run = Script::new(WRITE)
            .var("user", text(of, "user"))
            .var("file", text(of, "file"))
            .var("wanted", lines.join("\n"))
            .var("left", left.join("\n"))
            .var(
                "exclusive",
                if flag(of, "exclusive") { "yes" } else { "no" },
            )
            .var("delete", if is_delete { "yes" } else { "no" })
            .var("create", "yes")
            .var("validate", "");
        let title = match job.verb {
            Verb::Delete => format!("put back the keys of {}", text(of, "user")),
            _ => format!("write {} keys of {}", wanted.len(), text(of, "user")),
        };
        Ok(Work::Steps(vec![Step::new(
            title,
            &known_machine(of)?,
            keeping(run, job.mark),
        )]))
    }
}

fn check(keys: &[String]) -> Result<(), Diagnostic> {
    let refuse = |detail: String| Err(wrong("keys", "not a key", detail));
    if keys.is_empty() {
        return Err(wrong("keys", "no key at all", "nobody could log in by it"));
    }
    let mut seen = BTreeMap::new();
    for line in keys {
        let begin: String = line.chars().take(24).collect();
        if line.trim().contains('\n') {
            return refuse(format!("`{begin}…` is more than one line: use `split`"));
        }
        let Some(key) = key_of(line) else {
            return refuse(format!("`{begin}…` is no line as of `authorized_keys`"));
        };
        if seen.insert(key.to_owned(), ()).is_some() {
            return refuse(format!("the key of `{begin}…` is there twice"));
        }
    }
    Ok(())
}

/// The key by which dmp logs in, where it is known here.
fn own_key(on: &Machine) -> Option<String> {
    let key = ssh_key::PrivateKey::from_openssh(on.private_key.as_deref()?).ok()?;
    let line = key.public_key().to_openssh().ok()?;
    key_of(&line).map(str::to_owned)
}

/// What a change would do to the way by which dmp itself comes in: a sentence, if it may end it.
pub(crate) fn locks_out(attributes: &Value, before: &[String], after: &[String]) -> Option<String> {
    let on = machine(attributes).ok().flatten()?;
    let user = text(attributes, "user");
    if on.user != user {
        return None;
    }
    let (before, after) = (by_key(before), by_key(after));
    let gone: Vec<&str> = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .copied()
        .collect();
    match own_key(&on) {
        Some(own) => gone.contains(&own.as_str()).then(|| {
            format!("this takes away the key by which dmp logs in as {user}: afterwards it can't")
        }),
        None if gone.is_empty() => None,
        None => Some(format!(
            "dmp logs in as {user}, of whom {} keys are taken away: see that its own is not among them",
            gone.len()
        )),
    }
}

fn tell(change: &mut Change<'_>) {
    let before = change.prior.or(change.earlier);
    let lines = before
        .map(|before| texts(before, "keys"))
        .unwrap_or_default();
    if let Some(words) = locks_out(&change.planned, &lines, &texts(&change.planned, "keys")) {
        change.note(words);
    }
    let is_new = change.prior.is_none();
    if is_new && flag(&change.planned, "exclusive") && !lines.is_empty() {
        change.note(format!(
            "{} has {} keys already; those that are not named go, and a delete puts the file back",
            text(&change.planned, "user"),
            lines.len()
        ));
    }
}

const WRITE: &str = with_edit!(with_user!(
    r#"
if ! dmp_user; then
	[ "$delete" = yes ] || dmp_refuse "there is no user $user"
	dmp_done
	exit 0
fi
begun=${kept%/*}/begun-$(printf %s "$path" | cksum | tr ' ' -)
[ -z "$folder" ] || [ ! -L "$folder" ] || dmp_refuse "$folder is a symbolic link: nothing is written through it"
if [ "$delete" = yes ] && [ ! -e "$path" ] && [ ! -e "$kept/file" ]; then
	[ ! -e "$kept/made" ] || rmdir -- "$folder" 2>/dev/null || :
	rm -f -- "$begun"
	dmp_done
	exit 0
fi
if [ -n "$folder" ] && [ ! -d "$folder" ]; then
	[ -d "$home" ] || dmp_refuse "the home directory $home of $user does not exist"
	(umask 077 && mkdir -p "$kept" && : >"$kept/made") || exit 1
	mkdir -m 0700 -- "$folder" && chown -h -- "$uid:$gid" "$folder" || exit 1
fi
if [ "$exclusive" = yes ]; then
	[ ! -L "$path" ] || dmp_refuse "$path is a symbolic link: nothing is written through it"
	if [ "$delete" = yes ]; then dmp_put_back file "$path"; else dmp_keep file "$path"; fi
fi
if [ "$delete" = yes ] && [ ! -e "$path" ]; then
	[ ! -e "$kept/made" ] || rmdir -- "$folder" 2>/dev/null || :
	rm -f -- "$begun"
	dmp_done
	exit 0
fi
dmp_open
dmp_take() {
	cat "$new" >"$old" || exit 1
	count=$(($(wc -l <"$old")))
}
if [ "$exclusive" = yes ] && [ "$delete" = no ]; then
	: >"$old"
	open_end=no count=0
fi
while read -r key; do
	[ -n "$key" ] || continue
	dmp_find -F -e " $key"
	while [ -n "$first" ]; do
		{ dmp_part 1 $((first - 1)); dmp_part $((first + 1)) "$count"; } >"$new" && dmp_take
		dmp_find -F -e " $key"
	done
done <<END
$left
END
while read -r key line; do
	[ -n "$key" ] || continue
	dmp_find -x -F -e "$line"
	[ -z "$first" ] || continue
	dmp_find -F -e " $key"
	at=$count to=$((count + 1))
	if [ -n "$first" ]; then at=$((first - 1)) to=$((first + 1)); fi
	{ dmp_part 1 "$at"; printf '%s\n' "$line"; dmp_part "$to" "$count"; } >"$new" && dmp_take
done <<END
$wanted
END
cat "$old" >"$new" || exit 1
dmp_close
if [ -e "$path" ]; then
	if [ "$delete" = no ]; then
		chown -h -- "$uid:$gid" "$path" && chmod 0600 -- "$path" || exit 1
		if [ -n "$folder" ]; then chown -h -- "$uid:$gid" "$folder" && chmod go-w -- "$folder" || exit 1; fi
	fi
elif [ -e "$kept/made" ]; then
	rmdir -- "$folder" 2>/dev/null || :
fi
[ "$delete" = no ] || dmp_done
"#
));

#[cfg(test)]
mod tests;
