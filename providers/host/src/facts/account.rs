//! Users and groups of a machine's own files; those of a directory service are not dmp's to change.

use std::collections::BTreeSet;

use dmp_sdk::Script;

/// Reads one user, and the groups that name it as a member. The password's field is told in full only if it is asked for.
const USER: &str = r#"
[ -r /etc/passwd ] && [ -r /etc/group ] || { echo "/etc/passwd or /etc/group can't be read" >&2; exit 1; }
while IFS=: read -r account _ uid gid comment home shell; do
	[ "$account" = "$name" ] || continue
	printf '%s\n' "uid=$uid" "gid=$gid" "comment=$comment" "home=$home" "shell=$shell"
	while IFS=: read -r group _ number members; do
		[ "$number" != "$gid" ] || printf '%s\n' "group=$group"
		case ,$members, in *,"$name",*) printf '%s\n' "member=$group" ;; esac
	done </etc/group
	[ -r /etc/shadow ] || { echo "/etc/shadow can't be read: users are managed as root" >&2; exit 1; }
	while IFS=: read -r account field _; do
		[ "$account" = "$name" ] || continue
		case $field in
		'!'* | '*'*) echo locked=yes ;;
		*) echo locked=no ;;
		esac
		[ "$secret" != yes ] || printf '%s\n' "password=$field"
	done </etc/shadow
	break
done </etc/passwd
exit 0
"#;

/// Reads one group.
const GROUP: &str = r#"
while IFS=: read -r group _ gid _; do
	[ "$group" != "$name" ] || printf '%s\n' "gid=$gid"
done </etc/group
"#;

/// The script for a user; `with_password` asks for the password's digest.
pub(crate) fn user_script(name: &str, with_password: bool) -> Script {
    Script::new(USER)
        .var("name", name)
        .var("secret", if with_password { "yes" } else { "no" })
}

/// The script for a group.
pub(crate) fn group_script(name: &str) -> Script {
    Script::new(GROUP).var("name", name)
}

/// A user as it was found.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: i64,
    pub(crate) gid: String,
    /// The primary group's name; its number where it has none.
    pub(crate) group: String,
    pub(crate) comment: String,
    pub(crate) home: String,
    pub(crate) shell: String,
    /// Whether no password lets it in.
    pub(crate) is_locked: bool,
    /// The password's digest without the sign of a lock, if it was asked for and there is one.
    pub(crate) password: Option<String>,
    /// The groups that name it as a member.
    pub(crate) groups: BTreeSet<String>,
}

/// Understands the script's output; `None` for a user that is not there.
pub(crate) fn parse_user(output: &str) -> Option<User> {
    let mut user = User::default();
    let mut is_there = false;
    for (name, value) in output.lines().filter_map(|line| line.split_once('=')) {
        let text = value.to_owned();
        match name {
            "uid" => {
                user.uid = value.parse().ok()?;
                is_there = true;
            }
            "gid" => user.gid = text,
            "group" => user.group = text,
            "comment" => user.comment = text,
            "home" => user.home = text,
            "shell" => user.shell = text,
            "locked" => user.is_locked = value == "yes",
            "password" => {
                let digest = value.trim_start_matches('!');
                user.password = Some(digest.to_owned()).filter(|digest| digest.len() > 1);
            }
            "member" => {
                user.groups.insert(text);
            }
            _ => {}
        }
    }
    if user.group.is_empty() {
        user.group.clone_from(&user.gid);
    }
    is_there.then_some(user)
}

/// Understands the script's output: the group's number; `None` for one that is not there.
pub(crate) fn parse_group(output: &str) -> Option<i64> {
    output
        .lines()
        .find_map(|line| line.strip_prefix("gid=")?.parse().ok())
}

/// Whether a name is one that Debian's tools take.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_with_their_groups_and_the_state_of_their_password() {
        let alice = parse_user(
            "uid=1001\ngid=100\ncomment=Alice, lab = 3\nhome=/home/alice\nshell=/bin/bash\n\
             group=users\nmember=adm\nmember=sudo\nlocked=yes\npassword=!$y$j9T$x\n",
        )
        .expect("is there");
        assert_eq!((alice.uid, alice.group.as_str()), (1001, "users"));
        assert_eq!(alice.comment, "Alice, lab = 3");
        assert!(alice.is_locked && alice.password.as_deref() == Some("$y$j9T$x"));
        assert_eq!(alice.groups.len(), 2);
        let daemon =
            parse_user("uid=1\ngid=77\ncomment=\nhome=/\nshell=\nlocked=yes\npassword=*\n");
        let daemon = daemon.expect("is there");
        assert_eq!((daemon.password, daemon.group.as_str()), (None, "77"));
        assert!(parse_user("").is_none());
        assert_eq!(parse_group("gid=44\n"), Some(44));
        assert_eq!(parse_group(""), None);
    }

    #[test]
    fn names_are_those_that_the_tools_take() {
        assert!(is_name("www-data") && is_name("_apt") && is_name("a.b"));
        assert!(!is_name("-x") && !is_name("0x") && !is_name("a b") && !is_name(""));
    }
}
