//! Networks of machines that are whole systems: neighbours reach one another, by every port, and nobody else does.

use super::served::Served;

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_network_is_reached_by_its_own_machines_alone() {
    let served = Served::begin();
    let inner = "virtio,bridge=vmbr1";
    // One that is on both, two inside, and one outside that knows of a way in.
    served.guest(
        101,
        "bastion",
        &[
            ("ipconfig0", "ip=10.89.0.21/24"),
            ("net1", inner),
            ("ipconfig1", "ip=10.20.0.2/24"),
        ],
    );
    for (vmid, name, address) in [(102, "one", "10.20.0.11"), (103, "two", "10.20.0.12")] {
        let network = format!("ip={address}/24,gw=10.20.0.2");
        served.guest(vmid, name, &[("net0", inner), ("ipconfig0", &network)]);
    }
    let tagged = "virtio,bridge=vmbr1,tag=20";
    served.guest(
        104,
        "tagged",
        &[("net0", tagged), ("ipconfig0", "ip=10.20.0.13/24")],
    );
    served.guest(
        105,
        "outside",
        &[("ipconfig0", "ip=10.89.0.22/24,gw=10.89.0.1")],
    );
    for vmid in 101..=105 {
        served.power(vmid, "start");
    }
    let (bastion, outside) = (served.known("10.89.0.21"), served.known("10.89.0.22"));
    bastion.is_up();
    outside.is_up();

    let inside = served.known("10.20.0.11");
    let jump = format!(
        "ssh -F none -i {0} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -W %h:%p debian@10.89.0.21",
        served.key().display()
    );
    let proxy = format!("ProxyCommand={jump}");
    let options = [
        "-o",
        &proxy,
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ];
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !inside.run_with(&options, "true").status.success() {
        assert!(std::time::Instant::now() < until, "not through the bastion");
    }
    let open = |address: &str| format!("timeout 3 bash -c '</dev/tcp/{address}/22'");
    let neighbour = inside.run_with(&options, &open("10.20.0.12"));
    assert!(neighbour.status.success(), "a neighbour is reached");

    for (from, address) in [
        ("the host", "10.20.0.11"),
        ("outside", "10.20.0.11"),
        ("inside", "10.20.0.13"),
        ("inside", "10.89.0.22"),
    ] {
        let reached = match from {
            "the host" => served.known(address).answers(),
            "outside" => {
                // Neither by its way out nor by a neighbour that is on both.
                let _ = outside.run("sudo ip route replace 10.20.0.0/24 via 10.89.0.21");
                let by_neighbour = outside.run(&open(address)).status.success();
                let _ = outside.run("sudo ip route replace 10.20.0.0/24 via 10.89.0.1");
                by_neighbour || outside.run(&open(address)).status.success()
            }
            _ => inside.run_with(&options, &open(address)).status.success(),
        };
        assert!(!reached, "{address} is reached from {from}");
    }
}
