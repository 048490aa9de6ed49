//! Lines, blocks, links and keys: what is put into the things of others, and taken out again.

use std::os::unix::fs::PermissionsExt;

use dmp_sdk::{Purpose, Value, Verb};
use dmp_testkit::Sshd;

use crate::object::{Object, mode, text};

#[tokio::test]
async fn lines_of_one_file_come_and_go_and_the_rest_stays_byte_for_byte() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("it's a \"file\" of others");
    let original = b"# a\tb\n\n  Port 22\n#Listen  all\\n\nlast \xff without an end".to_vec();
    std::fs::write(&path, &original).expect("writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("ours");
    let line = |name: &str, given: &[(&str, Value)]| {
        let object = Object::new(&ssh, "host_line", name);
        let base = [
            ("host", sshd.machine().to_value()),
            ("path", path.display().to_string().into()),
        ];
        let config = object.config(&[given, &base].concat());
        (object, config)
    };
    let (port, port_config) = line(
        "port",
        &[
            ("line", "Port 2222 # $(x) 'y' \\".into()),
            ("match", "^ *Port [0-9]{2,5}".into()),
        ],
    );
    let (end, end_config) = line("end", &[("line", "-- the end".into())]);
    let (middle, middle_config) = line(
        "middle",
        &[("line", "in the middle".into()), ("before", "^#L".into())],
    );
    let (port_found, port_earlier) = port.create(&port_config).await;
    let (end_found, end_earlier) = end.create(&end_config).await;
    let (middle_found, middle_earlier) = middle.create(&middle_config).await;
    assert_eq!(port_earlier.get("line"), "  Port 22".into());
    let expected =
        b"# a\tb\n\nPort 2222 # $(x) 'y' \\\nin the middle\n#Listen  all\\n\nlast \xff without an end\n-- the end";
    assert_eq!(std::fs::read(&path).expect("is there"), expected);
    assert_eq!(mode(&path), 0o640);

    let (middle_found, titles) = middle
        .update(&middle_config.with("line", "another".into()), &middle_found)
        .await;
    assert_eq!(titles.len(), 1);
    assert!(!String::from_utf8_lossy(&std::fs::read(&path).expect("is there")).contains("middle"));

    end.delete(&end_found, &end_earlier).await;
    port.delete(&port_found, &port_earlier).await;
    middle.delete(&middle_found, &middle_earlier).await;
    assert_eq!(std::fs::read(&path).expect("is there"), original);
    assert_eq!(mode(&path), 0o640);
}

#[tokio::test]
async fn a_file_that_lines_and_blocks_began_goes_with_the_last_of_them() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("begun");
    let (line, block) = (
        Object::new(&ssh, "host_line", "one"),
        Object::new(&ssh, "host_block", "two"),
    );
    let base = [
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("create", true.into()),
    ];
    let of_line: [(&str, Value); 1] = [("line", "one".into())];
    let of_block: [(&str, Value); 2] = [("name", "two".into()), ("content", "2\n".into())];
    let (line_found, none) = line
        .create(&line.config(&[&base[..], &of_line].concat()))
        .await;
    let (block_found, _) = block
        .create(&block.config(&[&base[..], &of_block].concat()))
        .await;
    assert_eq!(text(&path), "one\n# BEGIN dmp two\n2\n# END dmp two\n");
    line.delete(&line_found, &none).await;
    assert_eq!(text(&path), "# BEGIN dmp two\n2\n# END dmp two\n");
    block.delete(&block_found, &none).await;
    assert!(!path.exists());
    let kept = sshd.path("state/kept");
    assert_eq!(std::fs::read_dir(kept).expect("is there").count(), 0);
}

#[tokio::test]
async fn a_line_that_can_not_be_written_says_why_and_the_file_stays() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("checked");
    let line = Object::new(&ssh, "host_line", "checked");
    let refused = async |given: &[(&str, Value)]| {
        let base = [
            ("host", sshd.machine().to_value()),
            ("path", path.display().to_string().into()),
            ("line", "good".into()),
        ];
        let planned = line.plan(&line.config(&[given, &base].concat()), None, None);
        line.work(
            Verb::Create,
            None,
            Some(&planned.value),
            Some(&Value::null()),
        )
        .await
        .expect_err("is refused")
    };
    let why = refused(&[]).await;
    assert!(why.contains("does not exist: set `create`"), "{why}");
    std::fs::write(&path, "old\n").expect("writable");
    let why = refused(&[("after", "^nowhere".into())]).await;
    assert!(
        why.contains("no line of") && why.contains("`after`"),
        "{why}"
    );
    let why = refused(&[("validate", "! grep -q good \"$file\"".into())]).await;
    assert!(why.contains("is not valid; the old one stays"), "{why}");
    let why = refused(&[("match", "(".into())]).await;
    assert!(why.contains("grep"), "{why}");
    assert_eq!(text(&path), "old\n");
}

#[tokio::test]
async fn a_link_takes_the_place_of_a_link_also_where_that_leads_to_a_directory() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let (path, old, new) = (sshd.path("current"), sshd.path("v1"), sshd.path("v2"));
    for folder in [&old, &new] {
        std::fs::create_dir(folder).expect("writable");
    }
    std::os::unix::fs::symlink(&old, &path).expect("writable");
    let link = Object::new(&ssh, "host_symlink", "current");
    let config = link.config(&[
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("target", new.display().to_string().into()),
    ]);
    let (found, earlier) = link.create(&config).await;
    assert_eq!(std::fs::read_link(&path).expect("a link"), new);
    assert_eq!(std::fs::read_dir(&old).expect("is there").count(), 0);
    link.delete(&found, &earlier).await;
    assert_eq!(std::fs::read_link(&path).expect("a link"), old);

    std::fs::remove_file(&path).expect("ours");
    std::fs::write(&path, "a file").expect("writable");
    let why = link
        .work(Verb::Create, None, Some(&found), Some(&Value::null()))
        .await
        .expect_err("is refused");
    assert!(
        why.contains("no symbolic link; it is left as it is"),
        "{why}"
    );
    assert_eq!(text(&path), "a file");
}

#[tokio::test]
async fn keys_of_others_stay_and_the_file_is_the_users_alone() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("keys");
    let key = |letter: &str| format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{}", letter.repeat(43));
    let original = format!(
        "# of the team\nno-pty {} theirs\n\nrestrict {} mine",
        key("A"),
        key("B")
    );
    std::fs::write(&path, &original).expect("writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("ours");
    let keys = Object::new(&ssh, "host_authorized_keys", "mine");
    let lines =
        |lines: &[String]| Value::set(lines.iter().map(|line| line.as_str().into()).collect());
    let config = keys.config(&[
        ("host", sshd.machine().to_value()),
        ("user", dmp_testkit::user().into()),
        ("file", path.display().to_string().into()),
        ("keys", lines(&[key("B") + " mine", key("C")])),
    ]);
    let (found, earlier) = keys.create(&config).await;
    assert_eq!(
        text(&path),
        format!(
            "# of the team\nno-pty {} theirs\n\n{} mine\n{}",
            key("A"),
            key("B"),
            key("C")
        )
    );
    assert_eq!(mode(&path), 0o600);
    assert_eq!(earlier.get("safe"), false.into());
    let (found, _) = keys
        .update(&config.with("keys", lines(&[key("C")])), &found)
        .await;
    assert!(!text(&path).contains(&key("B")));
    keys.delete(&found, &earlier).await;
    assert_eq!(text(&path), original);

    let link = sshd.path("link");
    std::os::unix::fs::symlink(&path, &link).expect("writable");
    let through = config.with("file", link.display().to_string().into());
    let error = keys
        .read(Purpose::BeforeCreate, &through)
        .await
        .expect_err("is refused");
    assert!(error.to_string().contains("is a symbolic link"), "{error}");
    let why = keys
        .work(Verb::Create, None, Some(&through), Some(&Value::null()))
        .await
        .expect_err("is refused");
    assert!(why.contains("is a symbolic link"), "{why}");
    assert_eq!(text(&path), original);
}
