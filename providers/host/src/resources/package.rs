//! `host_package`: a set of Debian packages, installed in one go.
//!
//! What a create brings along (packages that were not there before, dependencies too) is remembered on the machine;
//! a delete purges of these what nothing else needs, and nothing that was there before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dmp_sdk::{
    Answers, Attribute, Change, Diagnostic, Effect, Fetch, Job, Known, MarkWay, Object, Reading,
    Resource, Schema, Script, Step, Type, Value, Verb, Work,
};

use crate::facts::apt;
use crate::kept::{keeping, with_kept};
use crate::on_host::{
    fetch, flag, host_attribute, known_machine, map_value, plan_host, text_map, texts, unreadable,
    wrong,
};

/// The resource type.
pub(crate) struct HostPackage {
    schema: Schema,
}

impl HostPackage {
    pub(crate) fn new() -> Self {
        let schema = Schema::new("host_package", "Debian packages on a machine, installed by apt in one go.")
            .mark(MarkWay::NaturalKey(&["host", "names"]))
            .on_delete("What dmp installed is purged, with the dependencies that came along and nothing else needs. Packages that were there before stay, in the version that they have now.")
            .attribute("host", host_attribute())
            .attribute("names", Attribute::required(Type::set(Type::String), "The packages.").unique())
            .attribute("versions", Attribute::optional(Type::map(Type::String), "Versions of some of them; `*` stands for anything: `{ kubelet = \"1.36.3-*\" }`. An older one than is installed is a downgrade."))
            .attribute("hold", Attribute::default(Type::Bool, "Whether nothing but dmp changes their version.", false))
            .attribute("recommends", Attribute::default(Type::Bool, "Whether recommended packages come along.", true))
            .attribute("installed", Attribute::computed(Type::map(Type::String), "The versions that are installed."));
        Self { schema }
    }
}

/// Names, versions and holds as they are found.
fn attributes(wanted: &Value, packages: &BTreeMap<String, apt::Package>) -> Value {
    let names = texts(wanted, "names");
    let versions = text_map(wanted, "versions");
    let there: BTreeMap<&str, &apt::Package> = names
        .iter()
        .filter_map(|name| Some((name.as_str(), packages.get(name)?)))
        .filter(|(_, package)| package.is_installed)
        .collect();
    let as_asked: BTreeMap<String, String> = versions
        .into_iter()
        .map(|(name, pattern)| {
            let version = there
                .get(name.as_str())
                .map(|package| package.version.clone());
            let fits = version
                .as_deref()
                .is_some_and(|version| apt::matches(&pattern, version));
            let found = if fits {
                pattern
            } else {
                version.unwrap_or_default()
            };
            (name, found)
        })
        .collect();
    let wants_hold = flag(wanted, "hold");
    // One that differs makes all of them differ.
    let is_as_wanted = there.values().all(|package| package.is_held == wants_hold);
    let hold = if is_as_wanted {
        wants_hold
    } else {
        !wants_hold
    };
    let found_versions = match wanted.get("versions") {
        none if none.is_null() => none,
        _ => map_value(as_asked),
    };
    let installed = there
        .iter()
        .map(|(name, package)| ((*name).to_owned(), package.version.clone()));
    wanted
        .with(
            "names",
            Value::set(there.keys().map(|name| Value::from(*name)).collect()),
        )
        .with("versions", found_versions)
        .with("hold", hold.into())
        .with("installed", map_value(installed.collect()))
}

impl Resource for HostPackage {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn fetches(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        fetch(known, &["names"], || {
            apt::script(&texts(known.attributes, "names"))
        })
    }

    fn parse(&self, known: &Known<'_>, answers: Answers<'_>) -> Result<Reading, Diagnostic> {
        let output = answers.output(0)?;
        if !output.is_success() {
            return Err(unreadable("packages", output));
        }
        let names = texts(known.attributes, "names");
        let packages = apt::parse(&output.text(), &names);
        let half: Vec<&str> = names
            .iter()
            .filter(|name| packages.get(*name).is_some_and(|package| package.is_half))
            .map(String::as_str)
            .collect();
        if names.iter().all(|name| {
            packages
                .get(name)
                .is_none_or(|package| !package.is_installed && !package.is_half)
        }) {
            return Ok(Reading::Absent);
        }
        let object = Object {
            attributes: attributes(known.attributes, &packages),
            // The set may change in place, and nothing but dmp knows it as one object.
            id: None,
        };
        Ok(if half.is_empty() {
            Reading::Found(object)
        } else {
            Reading::HalfMade(object, format!("dpkg has not finished {}", half.join(", ")))
        })
    }

    fn plan(&self, change: &mut Change<'_>) -> Result<(), Diagnostic> {
        plan_host(change);
        if !change.planned.get("names").is_wholly_known()
            || !change.planned.get("versions").is_wholly_known()
        {
            change.unknown("installed");
            return Ok(());
        }
        let names: BTreeSet<String> = texts(&change.planned, "names").into_iter().collect();
        let versions = text_map(&change.planned, "versions");
        check(&names, &versions)?;
        let found = change.prior.or(change.earlier);
        let there: BTreeSet<String> = found
            .map(|found| texts(found, "names").into_iter().collect())
            .unwrap_or_default();
        let installed = found
            .map(|found| text_map(found, "installed"))
            .unwrap_or_default();
        let fits = |name: &String| {
            let pattern = versions.get(name).map_or("*", String::as_str);
            installed
                .get(name)
                .is_some_and(|version| apt::matches(pattern, version))
        };
        if names.iter().all(fits) && there.iter().all(|name| names.contains(name)) {
            let installed = installed
                .clone()
                .into_iter()
                .filter(|(name, _)| names.contains(name));
            change.set("installed", map_value(installed.collect()));
        } else {
            change.unknown("installed");
        }
        let changing: Vec<&str> = names
            .iter()
            .filter(|name| there.contains(*name) && !fits(name))
            .map(String::as_str)
            .collect();
        if !changing.is_empty() {
            change.effect(Effect::Restart {
                what: format!("services of {}", changing.join(", ")),
            });
        }
        if change.prior.is_none() && !there.is_empty() {
            let present: Vec<&str> = there.iter().map(String::as_str).collect();
            change.note(format!(
                "installed already, and left there by a delete: {}",
                present.join(", ")
            ));
            if !changing.is_empty() {
                change.note(format!(
                    "a delete can't put back the versions of before: {}",
                    changing.join(", ")
                ));
            }
        }
        Ok(())
    }

    fn work(&self, job: &Job<'_>) -> Result<Work, Diagnostic> {
        let of = if job.verb == Verb::Delete {
            job.prior()?
        } else {
            job.wanted()?
        };
        let on = known_machine(of)?;
        let names: BTreeSet<String> = texts(of, "names").into_iter().collect();
        let earlier: BTreeSet<String> = job
            .earlier
            .map(|earlier| texts(earlier, "names").into_iter().collect())
            .unwrap_or_default();
        let step = |title: String, script: Script| {
            Step::new(title, &on, keeping(script, job.mark)).within(Duration::from_secs(1800))
        };
        let unhold = |names: &BTreeSet<String>| Script::new(UNHOLD).var("names", lines(names));
        let count = |names: &BTreeSet<String>| match names.len() {
            1 => names.first().cloned().unwrap_or_default(),
            many => format!("{many} packages"),
        };
        if job.verb == Verb::Delete {
            let mut steps = Vec::new();
            if flag(of, "hold") {
                let held_before = job.earlier.is_some_and(|earlier| flag(earlier, "hold"));
                let release = names
                    .iter()
                    .filter(|name| !(held_before && earlier.contains(*name)));
                let release: BTreeSet<String> = release.cloned().collect();
                if !release.is_empty() {
                    steps.push(step(
                        format!("release {}", count(&release)),
                        unhold(&release),
                    ));
                }
            }
            let ours: BTreeSet<String> = names.difference(&earlier).cloned().collect();
            if !ours.is_empty() {
                let script = Script::new(PURGE)
                    .var("names", lines(&ours))
                    .var("last", "yes");
                steps.push(step(format!("purge {}", count(&ours)), script));
            }
            return Ok(Work::Steps(steps));
        }
        let prior = if job.verb == Verb::Create {
            None
        } else {
            job.prior
        };
        let mut steps = Vec::new();
        let gone: BTreeSet<String> = prior
            .map(|prior| texts(prior, "names").into_iter().collect::<BTreeSet<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter(|name| !names.contains(name))
            .collect();
        let installed = prior
            .or(job.earlier)
            .map(|found| text_map(found, "installed"))
            .unwrap_or_default();
        let versions = text_map(of, "versions");
        let missing: BTreeSet<String> = names
            .iter()
            .filter(|name| {
                let pattern = versions.get(*name).map_or("*", String::as_str);
                !installed
                    .get(*name)
                    .is_some_and(|version| apt::matches(pattern, version))
            })
            .cloned()
            .collect();
        // A half-made one may be all there and not configured: apt finishes it.
        let is_finish = job.verb == Verb::Create && job.prior.is_some();
        if !missing.is_empty() || is_finish {
            let wanted = if missing.is_empty() { &names } else { &missing };
            let with_version = |name: &String| match versions.get(name) {
                Some(version) => format!("{name}={version}"),
                None => name.clone(),
            };
            let script = Script::new(INSTALL)
                .var("names", lines(wanted))
                .var(
                    "wanted",
                    wanted
                        .iter()
                        .map(with_version)
                        .collect::<Vec<_>>()
                        .join("\n"),
                )
                .var(
                    "recommends",
                    if flag(of, "recommends") { "yes" } else { "no" },
                );
            steps.push(step(format!("install {}", count(wanted)), script));
        }
        let held = prior
            .or(job.earlier)
            .is_some_and(|found| flag(found, "hold"));
        let hold = flag(of, "hold");
        // What is held can't be purged.
        let mut release: BTreeSet<String> = if held { gone.clone() } else { BTreeSet::new() };
        if held && !hold {
            release.extend(names.iter().cloned());
        }
        if !release.is_empty() {
            steps.push(step(
                format!("release {}", count(&release)),
                unhold(&release),
            ));
        }
        let removable: BTreeSet<String> = gone.difference(&earlier).cloned().collect();
        if !removable.is_empty() {
            let script = Script::new(PURGE)
                .var("names", lines(&removable))
                .var("last", "no");
            steps.push(step(format!("purge {}", count(&removable)), script));
        }
        if hold && (!held || !missing.is_empty()) {
            let script = Script::new(HOLD).var("names", lines(&names));
            steps.push(step(format!("hold {}", count(&names)), script));
        }
        Ok(Work::Steps(steps))
    }
}

/// Names are Debian's, and versions are for packages of the set.
fn check(names: &BTreeSet<String>, versions: &BTreeMap<String, String>) -> Result<(), Diagnostic> {
    if names.is_empty() {
        return Err(wrong("names", "no packages", "the set is empty"));
    }
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.:".contains(&byte)
            })
    };
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return Err(wrong(
            "names",
            "not a package's name",
            format!("`{name}` has a character that Debian's packages don't have"),
        ));
    }
    if let Some(name) = versions.keys().find(|name| !names.contains(*name)) {
        return Err(wrong(
            "versions",
            "a version without its package",
            format!("`{name}` is not among `names`"),
        )
        .did_you_mean(name, names.iter().map(String::as_str)));
    }
    let is_version = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    match versions.values().find(|version| !is_version(version)) {
        Some(version) => Err(wrong(
            "versions",
            "not a version",
            format!("`{version}` is empty or has a space in it"),
        )),
        None => Ok(()),
    }
}

fn lines(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What every use of apt begins with: nothing is asked, files of configuration stay as they are, a lock is waited for
/// (apt names who holds it).
macro_rules! with_apt {
    ($script:literal) => {
        with_kept!(concat!(
            r#"
export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_MODE=l
set -f
IFS='
'
apt() {
	apt-get -q -y -o DPkg::Lock::Timeout=600 -o APT::Color=0 -o Dpkg::Use-Pty=0 "$@"
}
installed() {
	dpkg-query -W -f='${db:Status-Abbrev}\t${binary:Package}\n' | sed -n 's/^.i.\t//p' | LC_ALL=C sort
}
"#,
            $script
        ))
    };
}

const INSTALL: &str = with_apt!(
    r#"
if [ -n "$(dpkg --audit)" ]; then
	echo "finishes what dpkg has not finished" >&2
	dpkg --force-confold --force-confdef --configure -a >&2 || exit 1
fi
stamp=${kept%/kept/*}/apt-updated
needs_update() {
	[ -e "$stamp" ] || return 0
	[ -z "$(find /etc/apt/sources.list /etc/apt/sources.list.d -newer "$stamp" 2>/dev/null)" ] || return 0
	for name in $names; do
		apt-cache policy -- "$name" | grep -q '^  Candidate: [^(]' || return 0
	done
	for one in $wanted; do
		case $one in *=*) apt-get -q -s install --allow-downgrades --allow-change-held-packages -- "$one" >/dev/null 2>&1 || return 0 ;; esac
	done
	return 1
}
if needs_update; then
	apt -o APT::Update::Error-Mode=any update || exit 1
	mkdir -p "${stamp%/*}" && : >"$stamp"
fi
(umask 077 && mkdir -p "$kept") || exit 1
[ -e "$kept/before" ] || { installed >"$kept/.before" && mv -f -- "$kept/.before" "$kept/before"; } || exit 1
recommend=true
[ "$recommends" = yes ] || recommend=false
apt -o "APT::Install-Recommends=$recommend" -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef \
	install --allow-downgrades --allow-change-held-packages -- $wanted
status=$?
# Also what a failed run has brought is ours to take away.
installed >"$kept/now" && LC_ALL=C comm -13 "$kept/before" "$kept/now" >"$kept/new" || exit 1
cat "$kept/new" "$kept/brought" 2>/dev/null | LC_ALL=C sort -u >"$kept/.brought"
mv -f -- "$kept/.brought" "$kept/brought" || exit 1
rm -f -- "$kept/now" "$kept/new"
if [ "$status" = 0 ]; then rm -f -- "$kept/before"; fi
exit "$status"
"#
);

const PURGE: &str = with_apt!(
    r#"
there=
for name in $names; do
	case $(dpkg-query -W -f='${db:Status-Abbrev}' -- "$name" 2>/dev/null) in
	?n* | '') ;;
	*) there="$there$name
" ;;
	esac
done
if [ -n "$there" ]; then
	# Nothing that somebody else has installed since may go along.
	others=
	for victim in $(apt-get -q -s purge -- $there 2>/dev/null | sed -n 's/^\(Purg\|Remv\) \([^ ]*\) .*/\2/p'); do
		bare=${victim%%:*}
		case "
$names
" in *"
$bare
"* | *"
$victim
"*) continue ;; esac
		if [ -f "$kept/brought" ] && grep -q -x -e "$bare" -e "$bare:.*" "$kept/brought"; then continue; fi
		others="$others $victim"
	done
	if [ -n "$others" ]; then
		echo "these packages need what is to be purged and would go too:$others" >&2
		exit 1
	fi
	apt purge -- $there || exit 1
fi
if [ "$last" = yes ] && [ -s "$kept/brought" ]; then
	unneeded=
	for victim in $(apt-get -q -s -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false autoremove --purge 2>/dev/null | sed -n 's/^\(Purg\|Remv\) \([^ ]*\) .*/\2/p'); do
		bare=${victim%%:*}
		if grep -q -x -e "$bare" -e "$bare:.*" "$kept/brought"; then
			unneeded="$unneeded$victim
"
		fi
	done
	if [ -n "$unneeded" ]; then apt purge -- $unneeded || exit 1; fi
fi
if [ "$last" = yes ]; then dmp_done; fi
"#
);

const HOLD: &str = with_apt!("apt-mark hold -- $names >&2");
const UNHOLD: &str = with_apt!("apt-mark unhold -- $names >&2");

#[cfg(test)]
mod tests;
