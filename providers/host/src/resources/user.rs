//! `host_user`: one user in `/etc/passwd`, by Debian's `useradd`, `usermod` and `userdel`.
//!
//! What is not given stays as it is. A user that was there before dmp is changed back by a delete and never removed; a
//! home directory is removed only where `remove_home` says so. A password's digest travels on standard input alone.

use std::collections::BTreeSet;

use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Fetch, Job, Known, MarkWay, Marks, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::account::{self, User};
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, optional_text, plan_host, text, texts, unreadable,
    wrong,
};
use crate::resources::group::{plan_name, plan_number};

/// The resource type.
pub(crate) struct HostUser {
    schema: Schema,
}

impl HostUser {
    pub(crate) fn new() -> Self {
        let schema = Schema::new(
            "host_user",
            "A user of a machine. A new one has no password, so that only keys let it in: see `host_authorized_keys`.",
        )
        .mark(MarkWay::NaturalKey(&["host", "name"]))
        .on_delete("The user is removed and its home directory stays, unless `remove_home` is set: then all that is in it is lost. One that was there before dmp stays, as it was then.")
        .attribute("host", host_attribute())
        .attribute("name", Attribute::required(Type::String, "The user's name.").replaces().unique())
        .attribute("uid", Attribute::optional_computed(Type::Number, "Its number. Not given: the one that it has, else the next that is free. Files outside of the home directory keep the old one."))
        .attribute("system", Attribute::default(Type::Bool, "Whether a new user's number is one of those for the system.", false))
        .attribute("group", Attribute::optional_computed(Type::String, "The primary group, by name or number. Not given: the one that it has, else one of the user's own name, which is made."))
        .attribute("groups", Attribute::optional(Type::set(Type::String), "Other groups that it is a member of. Memberships beside these stay, unless `groups_exclusive` is set."))
        .attribute("groups_exclusive", Attribute::default(Type::Bool, "Whether it is a member of no other groups than `groups`.", false))
        .attribute("comment", Attribute::optional_computed(Type::String, "The person's name, or what the user is for."))
        .attribute("home", Attribute::optional_computed(Type::String, "The home directory. When it changes, what is in it moves."))
        .attribute("create_home", Attribute::default(Type::Bool, "Whether the home directory of a new user is made.", true))
        .attribute("remove_home", Attribute::default(Type::Bool, "Whether a delete removes the home directory, with all that is in it, and the mail.", false))
        .attribute("shell", Attribute::optional_computed(Type::String, "The login shell: `/bin/bash`, `/usr/sbin/nologin`."))
        .attribute("password_hash", Attribute::optional(Type::String, "The password's digest, as `mkpasswd` writes it: `$y$…`, `$6$…`. Not given: the password stays as it is.").sensitive())
        .attribute("locked", Attribute::optional_computed(Type::Bool, "Whether no password lets it in; keys do. Not given: as it is; of a new user, whether it has no `password_hash`."));
        Self { schema }
    }
}

/// The attributes as they are found there.
fn attributes(wanted: &Value, user: &User) -> Value {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let group = match optional_text(wanted, "group") {
        Some(asked) if is_number(&asked) => &user.gid,
        _ => &user.group,
    };
    let named: BTreeSet<String> = texts(wanted, "groups").into_iter().collect();
    let is_exclusive = flag(wanted, "groups_exclusive");
    let groups: Vec<Value> = user
        .groups
        .iter()
        .filter(|group| is_exclusive || named.contains(*group))
        .map(|group| group.as_str().into())
        .collect();
    let groups = if wanted.get("groups").is_null() && groups.is_empty() {
        Value::null()
    } else {
        Value::set(groups)
    };
    let password = if wanted.get("password_hash").is_null() {
        Value::null()
    } else {
        Value::from(user.password.clone().unwrap_or_default()).marked(&Marks::sensitive())
    };
    wanted
        .with("uid", user.uid.into())
        .with("group", group.as_str().into())
        .with("groups", groups)
        .with("comment", user.comment.as_str().into())
        .with("home", user.home.as_str().into())
        .with("shell", user.shell.as_str().into())
        .with("password_hash", password)
        .with("locked", user.is_locked.into())
}

impl Resource for HostUser {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["name"], || {
            let with_password = !known.attributes.get("password_hash").is_null();
            account::user_script(&text(known.attributes, "name"), with_password)
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("a user", output));
        }
        Ok(match account::parse_user(&output.text()) {
            None => Reading::Absent,
            Some(user) => Reading::Found(Object {
                attributes: attributes(known.attributes, &user),
                id: Some(text(known.attributes, "name")),
            }),
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        check(change)?;
        let name = text(&change.planned, "name");
        match (change.prior, change.earlier) {
            (None, Some(earlier)) => {
                for attribute in ["uid", "group", "comment", "home", "shell", "locked"] {
                    if change.config.get(attribute).is_null() {
                        change.set(attribute, earlier.get(attribute));
                    }
                }
                change.note(format!(
                    "the user {name} is there already; a delete leaves it, as it is now"
                ));
            }
            (None, None) => {
                if change.config.get("comment").is_null() {
                    change.set("comment", "".into());
                }
                let password = change.config.get("password_hash");
                if change.config.get("locked").is_null() && password.is_known() {
                    change.set("locked", password.is_null().into());
                }
                if change.planned.get("locked").as_bool() == Some(false) && password.is_null() {
                    return Err(wrong(
                        "locked",
                        "nothing to unlock",
                        "a new user without a `password_hash` has no password that could let it in",
                    ));
                }
            }
            (Some(_), _) => {}
        }
        tell(change, &name);
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let earlier = job.earlier.filter(|earlier| !earlier.is_null());
        let (of, like, before) = match job.verb {
            Verb::Delete => (job.prior()?, earlier, job.prior),
            Verb::Create => (job.wanted()?, Some(job.wanted()?), earlier),
            _ => (job.wanted()?, Some(job.wanted()?), job.prior),
        };
        let on = known_machine(of)?;
        let name = text(of, "name");
        let Some(like) = like else {
            let run = Script::new(REMOVE)
                .var("name", name.clone())
                .var("home", if flag(of, "remove_home") { "yes" } else { "no" });
            let title = format!("remove the user {name}");
            return Ok(Work::Steps(vec![Step::new(title, &on, run)]));
        };
        let differs = |attribute: &&str| {
            before.is_none_or(|before| before.get(attribute) != like.get(attribute))
        };
        if !KEPT.iter().any(differs) {
            return Ok(Work::Steps(Vec::new()));
        }
        let title = match job.verb {
            Verb::Delete => format!("give back the user {name} what it had before dmp"),
            Verb::Create => format!("make the user {name}"),
            _ => format!("change the user {name}"),
        };
        let run = ensure(job, like, before, earlier).var("name", name);
        Ok(Work::Steps(vec![Step::new(title, &on, run)]))
    }
}

/// What a user has, so far as it is looked after.
const KEPT: [&str; 9] = [
    "uid",
    "group",
    "groups",
    "groups_exclusive",
    "comment",
    "home",
    "shell",
    "password_hash",
    "locked",
];

/// The script that makes the user what it is to be, from what it was.
fn ensure(job: &Job<'_>, like: &Value, before: Option<&Value>, earlier: Option<&Value>) -> Script {
    let groups = |value: Option<&Value>| -> BTreeSet<String> {
        let names = value.map(|value| texts(value, "groups"));
        names.unwrap_or_default().into_iter().collect()
    };
    let wanted = groups(Some(like));
    let is_exclusive = flag(like, "groups_exclusive");
    // What it was a member of before dmp it stays a member of; so it does of all that nobody named.
    let was_exclusive = before.is_some_and(|before| flag(before, "groups_exclusive"));
    let mut left = groups(before);
    if was_exclusive && job.verb == Verb::Update {
        left.clear();
    }
    let mine = groups(earlier);
    left.retain(|group| !wanted.contains(group) && !mine.contains(group));
    let lines = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join("\n");
    let differs = |name: &str| before.is_none_or(|before| before.get(name) != like.get(name));
    let password = like.get("password_hash");
    let is_other = differs("password_hash") && !password.is_null();
    let lock = match like.get("locked").as_bool() {
        // There was none before dmp.
        _ if is_other && password.as_str() == Some("") && job.verb == Verb::Delete => "clear",
        Some(true) if is_other || differs("locked") => "yes",
        Some(false) if is_other || differs("locked") => "no",
        _ => "",
    };
    let yes = |is_set: bool| if is_set { "yes" } else { "no" };
    let uid = like.get("uid").as_i64().map(|uid| uid.to_string());
    Script::new(ENSURE)
        .var("only_there", yes(job.verb == Verb::Delete))
        .var("uid", uid.unwrap_or_default())
        .var("group", text(like, "group"))
        .var("groups", lines(wanted))
        .var("left", lines(left))
        .var("exclusive", yes(is_exclusive))
        .var("comment", text(like, "comment"))
        .var("home", text(like, "home"))
        .var("shell", text(like, "shell"))
        .var("system", yes(flag(like, "system")))
        .var("create_home", yes(flag(like, "create_home")))
        .var("lock", lock)
        .var("has_password", yes(!text(like, "password_hash").is_empty()))
        .stdin(text(like, "password_hash").into_bytes())
}

fn check(change: &Change<'_>) -> Result<(), Diagnostic> {
    plan_name(change, "name")?;
    plan_number(change, "uid")?;
    for name in ["comment", "home", "shell", "group"] {
        let given = change.config.get(name);
        if given
            .as_str()
            .is_some_and(|text| text.contains([':', '\n', '\0']))
        {
            return Err(wrong(
                name,
                "not for /etc/passwd",
                "a colon or a line break would end it there",
            ));
        }
    }
    for name in ["home", "shell"] {
        let given = change.config.get(name);
        if given.as_str().is_some_and(|path| !path.starts_with('/')) {
            return Err(wrong(name, "not a path", "it does not begin with `/`"));
        }
    }
    let groups = texts(change.config, "groups");
    if let Some(group) = groups.iter().find(|group| !account::is_name(group)) {
        return Err(wrong(
            "groups",
            "not a group's name",
            format!("`{group}` is none"),
        ));
    }
    // A password that was written by mistake must not be quoted.
    let password = change.config.get("password_hash");
    if password
        .as_str()
        .is_some_and(|digest| !digest.starts_with('$') || digest.contains([':', '\n']))
    {
        return Err(wrong(
            "password_hash",
            "not a password's digest",
            "it does not begin with `$` and the number of a method",
        )
        .help("make one by `mkpasswd`, never write the password itself"));
    }
    Ok(())
}

fn tell(change: &mut Change<'_>, name: &str) {
    let before = change.prior.or(change.earlier);
    let home = text(&change.planned, "home");
    if let Some(before) = before {
        if before.get("uid") != change.planned.get("uid") {
            change.note(format!(
                "files of {name} outside of its home directory keep its number of before"
            ));
        }
        if before.get("home") != change.planned.get("home") {
            let old = text(before, "home");
            change.note(format!("what is in {old} moves to {home}"));
        }
    }
    let is_earlier = change.prior.is_none() && change.earlier.is_some();
    let had = change.prior.is_some_and(|prior| flag(prior, "remove_home"));
    if flag(&change.planned, "remove_home") && !had && !is_earlier {
        let what = if home.is_empty() {
            "the home directory"
        } else {
            &home
        };
        change.note(format!(
            "a delete will remove {what} with all that is in it"
        ));
    }
}

const ENSURE: &str = r#"
for tool in useradd usermod gpasswd chpasswd; do
	command -v "$tool" >/dev/null 2>&1 || { echo "there is no $tool: install the package passwd" >&2; exit 1; }
done
dmp_is_there() {
	while IFS=: read -r account _ old_uid old_gid old_comment old_home old_shell; do
		[ "$account" != "$name" ] || return 0
	done </etc/passwd
	return 1
}
# Sets number to that of a group given by name or number.
dmp_number() {
	number=$1
	while IFS=: read -r entry _ gid _; do
		[ "$entry" != "$1" ] || number=$gid
	done </etc/group
}
password=$(cat)
if dmp_is_there; then
	set --
	[ -z "$uid" ] || [ "$uid" = "$old_uid" ] || set -- "$@" -u "$uid"
	dmp_number "$group"
	[ -z "$group" ] || [ "$number" = "$old_gid" ] || set -- "$@" -g "$group"
	[ "$comment" = "$old_comment" ] || set -- "$@" -c "$comment"
	[ -z "$shell" ] || [ "$shell" = "$old_shell" ] || set -- "$@" -s "$shell"
	if [ -n "$home" ] && [ "$home" != "$old_home" ]; then
		set -- "$@" -d "$home"
		[ ! -d "$old_home" ] || [ -e "$home" ] || set -- "$@" -m
	fi
	if [ "$#" -gt 0 ]; then usermod "$@" -- "$name" || exit 1; fi
elif [ "$only_there" = yes ]; then
	exit 0
else
	set -- -c "$comment"
	[ -z "$uid" ] || set -- "$@" -u "$uid"
	if [ -z "$group" ] && grep -q "^$name:" /etc/group; then group=$name; fi
	[ -z "$group" ] || set -- "$@" -g "$group"
	[ -z "$home" ] || set -- "$@" -d "$home"
	[ -z "$shell" ] || set -- "$@" -s "$shell"
	[ "$system" = no ] || set -- "$@" -r
	if [ "$create_home" = yes ]; then set -- "$@" -m; else set -- "$@" -M; fi
	useradd "$@" -- "$name" || exit 1
fi
set -f
IFS='
'
for one in $left; do
	! grep -q "^$one:" /etc/group || gpasswd -d "$name" "$one" >/dev/null 2>&1 || :
done
if [ "$exclusive" = yes ]; then
	usermod -G "$(printf %s "$groups" | tr '\n' ,)" -- "$name" || exit 1
else
	for one in $groups; do
		while IFS=: read -r entry _ _ members; do
			[ "$entry" = "$one" ] || continue
			case ,$members, in *,"$name",*) continue 2 ;; esac
		done </etc/group
		gpasswd -a "$name" "$one" >/dev/null || exit 1
	done
fi
[ -n "$lock" ] || exit 0
if [ "$lock" = clear ]; then
	usermod -p '!' -- "$name"
	exit
fi
if [ "$has_password" = yes ]; then
	if [ "$lock" = yes ]; then password=!$password; fi
	printf '%s:%s\n' "$name" "$password" | chpasswd -e
elif [ "$lock" = yes ]; then
	usermod -L -- "$name"
else
	usermod -U -- "$name"
fi
"#;

const REMOVE: &str = r#"
command -v userdel >/dev/null 2>&1 || { echo "there is no userdel: install the package passwd" >&2; exit 1; }
grep -q "^$name:" /etc/passwd || exit 0
set --
[ "$home" = no ] || set -- -r
# 8: it is in use; who has just logged out has a process for some seconds more.
tries=0
while :; do
	words=$(userdel "$@" -- "$name" 2>&1)
	status=$?
	[ "$status" = 8 ] && [ "$tries" -lt 20 ] || break
	tries=$((tries + 1))
	sleep 1
done
[ -z "$words" ] || printf '%s\n' "$words" >&2
[ "$status" = 0 ] || exit 1
! grep -q "^$name:" /etc/passwd
"#;

#[cfg(test)]
mod tests;
