//! The handle of a machine, files, directories and commands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dmp_sdk::{Machine, Machines, Purpose, Value, Verb};
use dmp_testkit::Sshd;

use crate::object::{Object, mode, text};

#[tokio::test]
async fn a_host_is_known_after_one_reading_and_writes_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let host = Object::new(&ssh, "host", "node");
    let machine = sshd.machine();
    let config = host.config(&[
        ("address", "127.0.0.1".into()),
        ("port", i64::from(sshd.port).into()),
        ("user", dmp_testkit::user().into()),
        ("key_file", machine.key_file.clone().into()),
        ("sudo", false.into()),
    ]);
    let earlier = host
        .read(Purpose::BeforeCreate, &config)
        .await
        .expect("is read")
        .expect("is there");
    let planned = host.plan(&config, None, Some(&earlier));
    assert!(planned.value.is_wholly_known());
    assert!(planned.notes[0].contains("SHA256:"));
    let connection = Machine::from_value(&planned.value.get("connection")).expect("a connection");
    assert_eq!(connection, machine);
    assert!(
        planned
            .value
            .get("cores")
            .as_i64()
            .is_some_and(|cores| cores > 0)
    );
    host.create(&config).await;
    assert_eq!(ssh.counts().logins, 1);
}

#[tokio::test]
async fn a_file_lives_and_leaves_nothing_behind() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("it's a \"file\" $(x)");
    let file = Object::new(&ssh, "host_file", "new");
    let base = [
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("content", "one\ntwo".into()),
        ("mode", "600".into()),
    ];
    let config = file.config(&base);
    let (found, earlier) = file.create(&config).await;
    assert_eq!((text(&path).as_str(), mode(&path)), ("one\ntwo", 0o600));
    assert_eq!(
        (earlier, found.get("owner")),
        (Value::null(), dmp_testkit::user().into())
    );

    // Drift in content and mode shows, and is mended.
    std::fs::write(&path, "drifted\n").expect("writable");
    let drifted = file
        .read(Purpose::Refresh, &found)
        .await
        .expect("is read")
        .expect("is there");
    assert_eq!(drifted.get("content"), "drifted\n".into());
    file.update(&config, &drifted).await;
    let other = config.with("mode", "0640".into());
    let (found, titles) = file.update(&other, &found).await;
    assert_eq!((titles.len(), mode(&path)), (1, 0o640));
    assert!(titles[0].starts_with("set mode"));

    file.delete(&found, &Value::null()).await;
    assert!(!path.exists());
    assert_eq!(
        file.read(Purpose::Refresh, &found).await.expect("is read"),
        None
    );
    let kept = sshd.path("state/kept");
    assert_eq!(std::fs::read_dir(kept).expect("is there").count(), 0);
}

#[tokio::test]
async fn what_stood_at_a_path_before_is_put_back_byte_by_byte() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("before");
    let binary: Vec<u8> = (0..=255).cycle().take(400_000).collect();
    std::fs::write(&path, &binary).expect("writable");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).expect("ours");
    let file = Object::new(&ssh, "host_file", "old");
    let config = file.config(&[
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("template", "port {{ port }}\n".into()),
        ("vars", Value::object_of([("port", 80.into())])),
    ]);
    let (found, earlier) = file.create(&config).await;
    assert_eq!(text(&path), "port 80\n");
    assert!(earlier.get("content").is_null() && !earlier.get("sha256").is_null());
    file.work(Verb::Delete, Some(&found), None, Some(&earlier))
        .await
        .expect("is put back");
    assert!(std::fs::read(&path).expect("is there") == binary);
    assert_eq!(mode(&path), 0o604);
}

#[tokio::test]
async fn a_file_that_can_not_be_written_says_why_and_the_old_one_stays() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("checked");
    let file = Object::new(&ssh, "host_file", "checked");
    let base = |path: &Path, content: &str| {
        file.config(&[
            ("host", sshd.machine().to_value()),
            ("path", path.display().to_string().into()),
            ("sensitive_content", content.into()),
            ("validate", "grep -q good \"$file\"".into()),
        ])
    };
    let (found, _) = file.create(&base(&path, "good")).await;
    let planned = file.plan(&base(&path, "bad"), Some(&found), None);
    let why = file
        .work(Verb::Update, Some(&found), Some(&planned.value), None)
        .await
        .expect_err("not valid");
    assert!(
        why.contains("is not valid; the old one stays") && !why.contains("bad"),
        "{why}"
    );
    assert_eq!(text(&path), "good");
    let left = std::fs::read_dir(path.parent().expect("has one"))
        .expect("is there")
        .flatten();
    assert!(
        left.map(|entry| entry.file_name())
            .all(|name| !name.to_string_lossy().starts_with(".dmp"))
    );

    let nowhere = sshd.path("nowhere/file");
    let planned = file.plan(&base(&nowhere, "good"), None, None);
    let why = file
        .work(
            Verb::Create,
            None,
            Some(&planned.value),
            Some(&Value::null()),
        )
        .await
        .expect_err("no parent");
    assert!(
        why.contains("does not exist: add a host_directory"),
        "{why}"
    );
    let link = sshd.path("link");
    std::os::unix::fs::symlink(&path, &link).expect("writable");
    let planned = file.plan(&base(&link, "good"), None, None);
    let why = file
        .work(
            Verb::Create,
            None,
            Some(&planned.value),
            Some(&Value::null()),
        )
        .await
        .expect_err("a link");
    assert!(why.contains("is a symbolic link"), "{why}");
}

#[tokio::test]
async fn a_directory_goes_with_the_parents_that_it_brought_and_never_with_content() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let (top, path) = (sshd.path("a"), sshd.path("a/b/c"));
    let directory = Object::new(&ssh, "host_directory", "deep");
    let config = directory.config(&[
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("mode", "2750".into()),
    ]);
    let (found, earlier) = directory.create(&config).await;
    assert_eq!(mode(&path), 0o2750);
    directory.delete(&found, &earlier).await;
    assert!(!top.exists());

    let (found, earlier) = directory.create(&config).await;
    std::fs::write(path.join("data"), "irreplaceable").expect("writable");
    directory.delete(&found, &earlier).await;
    assert_eq!(text(&path.join("data")), "irreplaceable");

    // One that was there before keeps its place, and gets its mode back.
    let (found, earlier) = directory.create(&config.with("mode", "0700".into())).await;
    assert_eq!((mode(&path), earlier.get("mode")), (0o700, "2750".into()));
    std::fs::remove_file(path.join("data")).expect("writable");
    directory.delete(&found, &earlier).await;
    assert_eq!(mode(&path), 0o2750);
}

#[tokio::test]
async fn a_command_runs_where_its_check_fails_and_is_undone() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("made");
    let command = Object::new(&ssh, "host_command", "make");
    let environment = Value::map(
        [
            ("FILE".into(), path.display().to_string().into()),
            ("WORDS".into(), "it's $HOME `x`".into()),
        ]
        .into(),
    );
    let config = command.config(&[
        ("host", sshd.machine().to_value()),
        ("create", "printf '%s\\n' \"$WORDS\" >>\"$FILE\"".into()),
        ("check", "test -e \"$FILE\"".into()),
        ("destroy", "rm -f \"$FILE\"".into()),
        ("environment", environment),
    ]);
    let (found, earlier) = command.create(&config).await;
    assert_eq!(text(&path), "it's $HOME `x`\n");
    assert!(earlier.is_null());
    // Done already: nothing is run.
    command.create(&config).await;
    assert_eq!(text(&path).lines().count(), 1);
    std::fs::remove_file(&path).expect("writable");
    assert_eq!(
        command
            .read(Purpose::Refresh, &found)
            .await
            .expect("is read"),
        None
    );
    command.create(&config).await;
    command.delete(&found, &earlier).await;
    assert!(!path.exists());
}
