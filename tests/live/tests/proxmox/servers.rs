//! Servers of the lab's OpenStack that are whole systems, with networks of their own, a router, and floating IPs that lead in.

use dmp_live::Dmp;
use serde_json::json;

use super::life::left;
use super::openstack::{begin, stack};
use super::served::Served;

/// A machine that faces the world, and one behind it.
const STACK: &str = r#"
resource "core_ssh_key" "login" {}

data "openstack_image" "system" {
  name = "IMAGE"
}

data "openstack_network" "outside" {
  name = "public"
}

resource "openstack_network" "inside" {
  name = "inside"
}

resource "openstack_subnet" "inside" {
  network_id      = openstack_network.inside.id
  cidr            = "10.20.0.0/24"
  dns_nameservers = ["SITE"]
}

resource "openstack_router" "out" {
  name                = "out"
  external_network_id = data.openstack_network.outside.id
}

resource "openstack_router_interface" "inside" {
  router_id = openstack_router.out.id
  subnet_id = openstack_subnet.inside.id
}

resource "openstack_security_group" "ssh" {
  name = "ssh"
}

resource "openstack_security_group_rule" "ssh" {
  security_group_id = openstack_security_group.ssh.id
  direction         = "ingress"
  protocol          = "tcp"
  port_range_min    = 22
  port_range_max    = LAST
}

resource "openstack_port" "bastion" {
  name               = "bastion"
  network_id         = openstack_network.inside.id
  security_group_ids = [openstack_security_group.ssh.id]
  fixed_ip {
    subnet_id  = openstack_subnet.inside.id
    ip_address = "10.20.0.5"
  }
}

resource "openstack_server" "bastion" {
  name            = "bastion"
  flavor          = "small"
  image_id        = data.openstack_image.system.id
  on_image_change = "rebuild"
  network {
    port_id = openstack_port.bastion.id
  }
  cloud_init {
    user     = "debian"
    ssh_keys = [core_ssh_key.login.public_key, "KEY"]
  }
}

resource "openstack_floating_ip" "bastion" {
  network_id = data.openstack_network.outside.id
}

resource "openstack_floating_ip_association" "bastion" {
  floating_ip_id = openstack_floating_ip.bastion.id
  port_id        = openstack_port.bastion.id
  depends_on     = [openstack_router_interface.inside]
}

resource "openstack_server" "inner" {
  name     = "inner"
  flavor   = "small"
  image_id = data.openstack_image.system.id
  network {
    network_id = openstack_network.inside.id
    fixed_ip   = "10.20.0.6"
  }
  cloud_init {
    user     = "debian"
    ssh_keys = [core_ssh_key.login.public_key]
  }
  lifecycle {
    ignore_changes = [image_id]
  }
  depends_on = [openstack_subnet.inside]
}

resource "host" "bastion" {
  address     = openstack_floating_ip.bastion.address
  user        = "debian"
  private_key = core_ssh_key.login.private_key
  host_key    = openstack_server.bastion.host_key
  depends_on  = [openstack_floating_ip_association.bastion, openstack_security_group_rule.ssh]
  lifecycle {
    hosted_on = [openstack_server.bastion.id]
  }
}

resource "host" "inner" {
  address     = openstack_server.inner.address
  user        = "debian"
  private_key = core_ssh_key.login.private_key
  host_key    = openstack_server.inner.host_key
  bastion     = host.bastion.connection
}

resource "host_file" "note" {
  for_each = { bastion = host.bastion.connection, inner = host.inner.connection }
  host     = each.value
  path     = "/srv/note"
  content  = "on ${each.key}\n"
}

output "outside" {
  value = openstack_floating_ip.bastion.address
}
"#;

/// The stack with an image, and the last port that is let in.
fn written(served: &Served, image: &str, last: u16) -> String {
    let key = std::fs::read_to_string(served.key().with_extension("pub")).expect("a key");
    let text = STACK.replace("KEY", key.trim()).replace("IMAGE", image);
    let text = text.replace("LAST", &last.to_string());
    text.replace("SITE", served.lab.value("gateway"))
}

fn applied(served: &Served) -> (Dmp, String) {
    let dmp = stack(served, &written(served, "debian-13", 22));
    let applied = dmp.run(["apply", "--yes"]).success();
    println!(
        "two servers with a network: {:.1} s",
        applied.time.as_secs_f64()
    );
    plan_is_empty(&dmp);
    let outside = dmp.run(["output", "--raw", "outside"]).success().stdout;
    (dmp, outside.trim().to_owned())
}

fn plan_is_empty(dmp: &Dmp) {
    let plan = dmp.run(["plan", "--detailed-exitcode"]).success();
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
}

/// Runs a script on a machine of the stack by the binary itself, which checks its host key.
fn on(dmp: &Dmp, host: &str, script: &str) -> String {
    dmp.run(["ssh", host, "--", script]).success().stdout
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn servers_are_whole_systems_that_a_floating_ip_leads_to() {
    let served = begin(&["debian-13"]);
    let (dmp, outside) = applied(&served);
    let bastion = served.known(&outside);
    bastion.is_up();
    assert_eq!(
        bastion.ssh("cat /proc/1/comm; hostname; sudo id -u; cat /srv/note"),
        "systemd\nbastion\n0\non bastion\n"
    );
    assert_eq!(served.machine("bastion")["strength"], "container");
    assert_eq!(served.machine("bastion")["addresses"][0], "10.20.0.5:22");
    assert!(
        bastion
            .ssh("ip -4 -o address show dev eth0")
            .contains("10.20.0.5/24")
    );
    let site = served.lab.value("gateway").to_owned();
    assert!(bastion.ssh("cat /etc/resolv.conf").contains(&site));

    // Who is inside is reached from inside alone, at every port, and goes out under the router's address.
    assert!(!served.known("10.20.0.6").answers() && !served.known("10.20.0.5").answers());
    assert_eq!(on(&dmp, "host.inner", "hostname"), "inner\n");
    let open = |address: &str, port: u16| format!("timeout 5 bash -c '</dev/tcp/{address}/{port}'");
    bastion.ssh(&open("10.20.0.6", 22));
    on(&dmp, "host.inner", &open(&site, 3142));
    let seen = on(
        &dmp,
        "host.inner",
        &format!("exec 3<>/dev/tcp/{outside}/22; echo $SSH_CONNECTION; head -c 4 <&3"),
    );
    assert!(
        seen.starts_with("10.20.0.5") && seen.ends_with("SSH-"),
        "{seen}"
    );

    // What no rule lets in does not come in from outside; neighbours are not outside.
    bastion.ssh(
        "sudo systemd-run -q --unit echo systemd-socket-activate --accept --inetd -l 8080 /bin/cat",
    );
    on(&dmp, "host.inner", &open("10.20.0.5", 8080));
    let reached = |address: &str| {
        let mut command = served.lab.enter("bash");
        command.args(["-c", &open(address, 8080)]);
        command.status().expect("bash runs").success()
    };
    assert!(!reached(&outside), "no rule lets it in");
    dmp.write("main.hcl", written(&served, "debian-13", 8080));
    let _ = dmp.run(["apply", "--yes"]).success();
    assert!(reached(&outside), "a rule lets it in");

    // Its power, by the API: in good order, and not.
    let before = bastion.boot_id();
    served.act("bastion", &json!({ "reboot": { "type": "SOFT" } }));
    bastion.is_up_again(&before);
    let journal = bastion.ssh("sudo journalctl -q -b -1 | grep -c 'Reached target.*[Pp]ower'");
    assert_ne!(journal.trim(), "0", "it went down by itself");
    let before = bastion.boot_id();
    served.act("bastion", &json!({ "reboot": { "type": "HARD" } }));
    bastion.is_up_again(&before);
    served.server_is("bastion", "ACTIVE");
    served.act("bastion", &json!({ "os-stop": null }));
    served.server_is("bastion", "SHUTOFF");
    bastion.is_silent();
    let again = dmp.run(["apply", "--yes"]).success();
    assert!(
        again.stdout.contains("openstack_server.bastion"),
        "{}",
        again.stdout
    );
    bastion.is_up();
    assert_eq!(bastion.ssh("cat /srv/note"), "on bastion\n");
    assert!(served.command(&["kill", "inner"]).ends_with(" is off\n"));
    served.server_is("inner", "SHUTOFF");
    let _ = dmp.run(["apply", "--yes"]).success();
    plan_is_empty(&dmp);
    served.command(&["fault", "cut", "bastion"]);
    bastion.is_silent();
    served.command(&["fault", "clear"]);
    bastion.is_up();

    // A way in that is taken away leads nowhere.
    let text = written(&served, "debian-13", 8080);
    let (port, other) = (
        "openstack_port.bastion.id\n  depends_on",
        "openstack_port.other.id\n  depends_on",
    );
    assert!(text.contains(port));
    dmp.write("main.hcl", text.replace(port, other) + OTHER);
    let words = [
        "apply",
        "--yes",
        "--target",
        "openstack_floating_ip_association.bastion",
    ];
    let _ = dmp.run(words).success();
    bastion.is_silent();
    dmp.write("main.hcl", text);
    let _ = dmp.run(["apply", "--yes"]).success();
    bastion.is_up();
    let _ = dmp.run(["destroy", "--yes"]).success();
    assert!(served.machine("bastion").is_null() && served.machine("inner").is_null());
}

/// A plug that no machine has.
const OTHER: &str = r#"
resource "openstack_port" "other" {
  name       = "other"
  network_id = openstack_network.inside.id
  depends_on = [openstack_subnet.inside]
}
"#;

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn nothing_of_servers_and_routers_outlives_their_lab_and_all_of_it_comes_back() {
    let mut served = begin(&["debian-13"]);
    let (dmp, outside) = applied(&served);
    served.kill();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(90);
    // The bridges stay until the lab is taken up again, or stopped.
    let goes = |name: &String| name.contains("/80000") || name.contains('@');
    while left(&served).iter().any(goes) {
        assert!(std::time::Instant::now() < until, "{:?}", left(&served));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    served.take_up_again();
    served.known(&outside).is_up();
    plan_is_empty(&dmp);
    assert_eq!(on(&dmp, "host.inner", "cat /srv/note"), "on inner\n");
    served.stop();
    assert_eq!(left(&served), Vec::<String>::new());
    served.take_up_again();
    served.known(&outside).is_up();
    assert_eq!(on(&dmp, "host.inner", "cat /srv/note"), "on inner\n");
    let _ = dmp.run(["destroy", "--yes"]).success();
}

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn a_server_is_rebuilt_in_place_and_what_was_on_it_is_made_again() {
    let served = begin(&["debian-13", "debian-next"]);
    let (dmp, outside) = applied(&served);
    let bastion = served.known(&outside);
    let (id, key) = (
        served.server("bastion")["id"].clone(),
        bastion.ssh("cat /etc/ssh/ssh_host_ed25519_key.pub"),
    );
    bastion.ssh("echo lost | sudo tee /var/lib/lost >/dev/null");

    dmp.write("main.hcl", written(&served, "debian-next", 22));
    let plan = dmp.run(["plan"]).success();
    assert!(
        plan.stdout
            .contains("LOSES DATA: the local disk of `bastion`"),
        "{}",
        plan.stdout
    );
    let _ = dmp.run(["apply", "--yes"]).success();
    bastion.is_up();
    let server = served.server("bastion");
    assert_eq!((&server["id"], &server["status"]), (&id, &json!("ACTIVE")));
    assert_eq!(bastion.ssh("cat /etc/ssh/ssh_host_ed25519_key.pub"), key);
    assert!(
        !bastion
            .run("cat /var/lib/lost || cat /srv/note")
            .status
            .success()
    );
    // The plan after it finds what is missing, and the host key is the one that is pinned.
    let _ = dmp.run(["apply", "--yes"]).success();
    assert_eq!(on(&dmp, "host.bastion", "cat /srv/note"), "on bastion\n");
    plan_is_empty(&dmp);
    let _ = dmp.run(["destroy", "--yes"]).success();
}
