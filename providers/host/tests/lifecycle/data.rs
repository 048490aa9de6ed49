//! Archives and filesystems: what holds data that nobody wants to lose.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dmp_sdk::{Purpose, Value, Verb};
use dmp_testkit::Sshd;

use crate::object::{Object, mode, text};

#[tokio::test]
async fn an_archive_is_unpacked_whole_or_not_at_all() {
    let Some(sshd) = Sshd::start() else { return };
    let ssh = dmp_testkit::ssh();
    let (path, file) = (sshd.path("un packed"), sshd.path("an archive.tar.xz"));
    let pack = |content: &str| {
        let folder = sshd.path("to be packed/v1");
        std::fs::create_dir_all(folder.join("bin")).expect("writable");
        std::fs::write(folder.join("bin/tool"), content).expect("writable");
        std::fs::set_permissions(
            folder.join("bin/tool"),
            std::fs::Permissions::from_mode(0o755),
        )
        .expect("ours");
        let tar = std::process::Command::new("tar")
            .arg("-C")
            .arg(sshd.path("to be packed"))
            .arg("-cJf")
            .arg(&file)
            .arg("v1")
            .status();
        assert!(tar.expect("there is tar").success());
    };
    pack("one");
    let archive = Object::new(&ssh, "host_archive", "tool");
    let config = archive.config(&[
        ("host", sshd.machine().to_value()),
        ("path", path.display().to_string().into()),
        ("file", file.display().to_string().into()),
        ("strip_components", 1.into()),
    ]);
    let (found, earlier) = archive.create(&config).await;
    assert_eq!(text(&path.join("bin/tool")), "one");
    assert_eq!((mode(&path), mode(&path.join("bin/tool"))), (0o755, 0o755));

    // Another archive in the file's place, and something that a stranger has added.
    pack("two");
    std::fs::write(path.join("added"), "by a stranger").expect("writable");
    let drifted = archive
        .read(Purpose::Refresh, &found)
        .await
        .expect("is read")
        .expect("is there");
    assert_eq!(drifted.get("intact"), false.into());
    let (found, _) = archive.update(&config, &drifted).await;
    assert_eq!(text(&path.join("bin/tool")), "two");
    assert!(!path.join("added").exists());

    // One that is not the one that was meant leaves what is there.
    let other = config.with("sha256", "0".repeat(64).as_str().into());
    let planned = archive.plan(&other, Some(&found), None);
    let why = archive
        .work(Verb::Update, Some(&found), Some(&planned.value), None)
        .await
        .expect_err("is another");
    assert!(why.contains("it is not the one that was meant"), "{why}");
    assert_eq!(text(&path.join("bin/tool")), "two");

    archive.delete(&found, &earlier).await;
    assert!(!path.exists());
    let left = std::fs::read_dir(path.parent().expect("has one"))
        .expect("is there")
        .flatten();
    assert!(
        left.map(|entry| entry.file_name())
            .all(|name| !name.to_string_lossy().starts_with(".dmp"))
    );

    // A directory with somebody else's things is never touched.
    std::fs::create_dir(&path).expect("writable");
    std::fs::write(path.join("data"), "irreplaceable").expect("writable");
    let error = archive
        .read(Purpose::BeforeCreate, &config)
        .await
        .expect_err("is refused");
    assert!(error.to_string().contains("has something in it"), "{error}");
    let planned = archive.plan(&config, None, None);
    let why = archive
        .work(
            Verb::Create,
            None,
            Some(&planned.value),
            Some(&Value::null()),
        )
        .await
        .expect_err("is refused");
    assert!(why.contains("it is left as it is"), "{why}");
    assert_eq!(text(&path.join("data")), "irreplaceable");
}

/// Whether the tools of filesystems are here.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn can_make_filesystems() -> bool {
    let are_there = ["mkfs.ext4", "wipefs", "resize2fs"]
        .iter()
        .all(|tool| Path::new("/usr/sbin").join(tool).exists());
    if !are_there {
        eprintln!("SKIPPED: e2fsprogs and util-linux are not installed");
        assert!(std::env::var_os("CI").is_none(), "CI needs them");
    }
    are_there
}

#[tokio::test]
async fn a_filesystem_is_made_where_nothing_is_grows_and_is_never_made_over_anything() {
    let Some(sshd) = Sshd::start() else { return };
    if !can_make_filesystems() {
        return;
    }
    let ssh = dmp_testkit::ssh();
    let path = sshd.path("image");
    let image = |megabytes: u64| {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path);
        file.expect("writable")
            .set_len(megabytes << 20)
            .expect("writable");
    };
    image(32);
    let filesystem = Object::new(&ssh, "host_filesystem", "data");
    let config = filesystem.config(&[
        ("host", sshd.machine().to_value()),
        ("device", path.display().to_string().into()),
        ("type", "ext4".into()),
        ("label", "my data".into()),
    ]);
    let (found, earlier) = filesystem.create(&config).await;
    assert_eq!(found.get("label"), "my data".into());

    // Again it is known as the one that was made.
    let before = std::fs::read(&path).expect("is there");
    let planned = filesystem.plan(&config, None, None);
    let null = Value::null();
    let again = filesystem.work(Verb::Create, None, Some(&planned.value), Some(&null));
    again.await.expect("it is there");
    assert!(std::fs::read(&path).expect("is there") == before);

    image(96);
    let grown = filesystem
        .read(Purpose::Refresh, &found)
        .await
        .expect("is read")
        .expect("is there");
    assert_eq!(grown.get("filling"), false.into());
    let (found, titles) = filesystem
        .update(&config.with("label", "other".into()), &grown)
        .await;
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert_eq!(
        (found.get("filling"), found.get("label")),
        (true.into(), "other".into())
    );

    // A delete leaves it, and another instance never formats it.
    let before = std::fs::read(&path).expect("is there");
    filesystem.delete(&found, &earlier).await;
    let another = Object::new(&ssh, "host_filesystem", "another");
    for kind in ["ext4", "swap"] {
        let wanted = filesystem
            .plan(&config.with("type", kind.into()), None, None)
            .value;
        let why = another
            .work(Verb::Create, None, Some(&wanted), Some(&Value::null()))
            .await
            .expect_err("is refused");
        assert!(why.contains("it is left as it is"), "{why}");
    }
    assert!(std::fs::read(&path).expect("is there") == before);

    // Only what is named is lost.
    let signature = found.get("signature");
    let config = config
        .with("type", "swap".into())
        .with("label", Value::null())
        .with("force", signature.clone());
    let (found, earlier) = another.create(&config).await;
    assert_eq!(earlier.get("signature"), signature);
    assert_eq!(found.get("type"), "swap".into());
}

/// A file as a block device, with a place where it is mounted; both end with it.
struct Loop {
    device: String,
    place: std::path::PathBuf,
}

impl Loop {
    /// Without root's rights or loop devices there is none.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn of(file: &Path, place: std::path::PathBuf) -> Option<Self> {
        let made = std::process::Command::new("losetup")
            .args(["--find", "--show"])
            .arg(file)
            .output();
        let device = made.ok().filter(|output| output.status.success());
        let Some(device) = device else {
            eprintln!("SKIPPED: no loop device is to be had");
            return None;
        };
        std::fs::create_dir(&place).expect("writable");
        let device = String::from_utf8_lossy(&device.stdout).trim().to_owned();
        Some(Self { device, place })
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = std::process::Command::new(program);
        let status = command.args(arguments).status().expect("it starts");
        assert!(status.success(), "{program} {arguments:?}");
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let run = |program: &str, of: &std::ffi::OsStr| {
            let mut command = std::process::Command::new(program);
            if program == "losetup" {
                command.arg("--detach");
            }
            let _ = command.arg(of).status();
        };
        run("umount", self.place.as_os_str());
        run("losetup", self.device.as_ref());
    }
}

#[tokio::test]
async fn a_device_in_use_is_refused_also_by_its_name_and_its_data_outlive_its_growth() {
    let Some(sshd) = Sshd::start() else { return };
    let path = sshd.path("disk");
    let size = |megabytes: u64| {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path);
        file.expect("writable")
            .set_len(megabytes << 20)
            .expect("writable");
    };
    size(32);
    if !can_make_filesystems() {
        return;
    }
    let Some(disk) = Loop::of(&path, sshd.path("mounted")) else {
        return;
    };
    let ssh = dmp_testkit::ssh();
    let filesystem = Object::new(&ssh, "host_filesystem", "disk");
    let config = filesystem.config(&[
        ("host", sshd.machine().to_value()),
        ("device", disk.device.as_str().into()),
        ("type", "ext4".into()),
    ]);
    let (found, _) = filesystem.create(&config).await;
    let place = disk.place.display().to_string();
    disk.run("mount", &[&disk.device, &place]);
    std::fs::write(disk.place.join("data"), "irreplaceable").expect("writable");

    // Not even by its name.
    let another = Object::new(&ssh, "host_filesystem", "another");
    let forced = config.with("force", found.get("signature"));
    let why = another
        .work(Verb::Create, None, Some(&forced), Some(&found))
        .await
        .expect_err("is refused");
    assert!(why.contains("is in use"), "{why}");

    disk.run("umount", &[&place]);
    size(96);
    disk.run("losetup", &["--set-capacity", &disk.device]);
    let grown = filesystem
        .read(Purpose::Refresh, &found)
        .await
        .expect("is read")
        .expect("is there");
    assert_eq!(grown.get("filling"), false.into());
    let (found, _) = filesystem.update(&config, &grown).await;
    assert_eq!(found.get("filling"), true.into());
    disk.run("mount", &[&disk.device, &place]);
    assert_eq!(text(&disk.place.join("data")), "irreplaceable");
}
