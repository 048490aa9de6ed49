//! Root file systems that are made by the guide's words, as archives; and what their machines are told at a first boot.

use dmp_live::Lab;

use super::served::{Served, at};

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn an_archive_made_by_the_guide_s_words_is_a_system() {
    let archive = Lab::of_this_suite().value("root").to_owned();
    let served = Served::with(&[("--root", &format!("trixie={archive}"))]);
    let status = served.status();
    let machines = status["machines"].as_array().expect("machines");
    let strengths: Vec<_> = machines
        .iter()
        .map(|machine| (machine["name"].as_str(), machine["strength"].as_str()))
        .collect();
    assert_eq!(
        strengths,
        [
            (Some("debian-13"), Some("process")),
            (Some("trixie"), Some("container"))
        ],
        "a new name is a new template"
    );

    // By an image of that name, too, which stands for the download.
    let form = [
        ("content", "import"),
        ("filename", "trixie.qcow2"),
        ("url", "https://example.invalid/trixie.qcow2"),
    ];
    served.done("POST", "/nodes/pve1/storage/shared/download-url", &form);
    let form = [
        ("vmid", "101"),
        ("name", "web"),
        ("memory", "512"),
        ("net0", "virtio,bridge=vmbr0"),
        ("scsi0", "shared:0,import-from=shared:import/trixie.qcow2"),
        ("ide2", "shared:cloudinit"),
        ("boot", "order=scsi0"),
        ("ciuser", "ops"),
        ("ipconfig0", "ip=10.89.0.31/24,gw=10.89.0.1"),
    ];
    served.done("POST", "/nodes/pve1/qemu", &form);
    let public = std::fs::read_to_string(served.key().with_extension("pub")).expect("a key");
    let keys: String = public
        .trim()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let form = [("sshkeys", keys.as_str())];
    served.data("PUT", "/nodes/pve1/qemu/101/config", &form);
    served.power(101, "start");
    let mut machine = served.known(&at(31));
    machine.user = "ops".to_owned();
    machine.is_up();
    assert_eq!(
        machine.ssh("hostname; id -un; sudo id -u; cat /proc/1/comm"),
        "web\nops\n0\nsystemd\n"
    );
    assert!(served.folder.join("roots").is_dir());

    // An address that can only be its own loopback is refused, with what to do.
    let form = [("ipconfig0", "ip=127.30.0.5/24")];
    served.power(101, "stop");
    served.data("PUT", "/nodes/pve1/qemu/101/config", &form);
    let ended = served.task("POST", "/nodes/pve1/qemu/101/status/start", &[]);
    assert!(ended.contains("127.30.0.5 is its own loopback"), "{ended}");
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_system_with_cloud_init_is_told_by_it() {
    let archive = Lab::of_this_suite().value("root_cloud").to_owned();
    let served = Served::with(&[("--root", &format!("debian-13={archive}"))]);
    let network = [
        ("ipconfig0", "ip=10.89.0.32/24,gw=10.89.0.1"),
        ("nameserver", "10.89.0.1"),
        // There is nobody to ask for newer packages.
        ("ciupgrade", "0"),
    ];
    served.guest(101, "cloud", &network);
    served.power(101, "start");
    let machine = served.known(&at(32));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !machine.answers() {
        assert!(std::time::Instant::now() < until, "it is not reached");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let said = machine.run("cloud-init status --wait --long");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("status: done") && said.contains("DataSourceNoCloud"),
        "{said}"
    );
    assert_eq!(machine.ssh("hostname; sudo id -u"), "cloud\n0\n");
}
