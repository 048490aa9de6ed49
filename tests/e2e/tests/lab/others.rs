//! Clients that are not ours: curl, and proxmoxer where Python has it.

use std::process::Command;

use super::clients::{python_with, said};
use super::served::Served;

/// The life of a VM, for proxmoxer.
const PROXMOXER: &str = r#"
import sys, time
from proxmoxer import ProxmoxAPI
host, port, user, name, value, ca = sys.argv[1:7]
api = ProxmoxAPI(host, port=int(port), user=user, token_name=name, token_value=value, verify_ssl=ca)

def wait(upid):
    node = upid.split(":")[1]
    while True:
        status = api.nodes(node).tasks(upid).status.get()
        if status["status"] == "stopped":
            assert status["exitstatus"] == "OK", status
            return
        time.sleep(0.02)

assert api.version.get()["release"] == "9.1"
node = api.nodes("pve1")
vmid = int(api.cluster.nextid.get())
wait(node.qemu(9000).clone.post(newid=vmid, name="made-by-proxmoxer", full=1, storage="shared"))
vm = node.qemu(vmid)
vm.config.put(cores=2, memory=512, tags="dmp", ciuser="debian", ipconfig0="ip=192.0.2.9/24")
wait(vm.resize.put(disk="scsi0", size="+1G"))
assert vm.config.get()["scsi0"].endswith("size=5G")
wait(vm.status.start.post())
assert vm.status.current.get()["status"] == "running"
wait(vm.snapshot.post(snapname="s1"))
assert [s["name"] for s in vm.snapshot.get()] == ["s1", "current"]
wait(vm.snapshot("s1").delete())
wait(vm.status.shutdown.post())
wait(vm.migrate.post(target="pve2"))
assert [g["node"] for g in api.cluster.resources.get(type="vm") if g["vmid"] == vmid] == ["pve2"]
api.pools.post(poolid="p")
api.pools.put(poolid="p", vms=str(vmid))
assert api.pools.get(poolid="p")[0]["members"][0]["vmid"] == vmid
wait(api.nodes("pve2").qemu(vmid).delete(purge=1))
with open(sys.argv[7], "rb") as image:
    wait(node.storage("local").upload.post(content="iso", filename=image))
assert node.storage("local").content.get()[0]["volid"] == "local:iso/small.iso"
try:
    api.nodes("pve2").qemu(vmid).config.get()
    raise SystemExit("it is still there")
except Exception as error:
    assert "does not exist" in str(error), error
print("all of it")
"#;

#[test]
fn proxmoxer_drives_the_life_of_a_vm() {
    let Some(mut python) = python_with("proxmoxer, requests") else {
        return;
    };
    let lab = Served::begin();
    let (host, port) = lab.written.endpoints[0]
        .trim_start_matches("https://")
        .split_once(':')
        .expect("an address");
    let (token, value) = lab.written.token.split_once('=').expect("a token");
    let (user, name) = token.split_once('!').expect("a token");
    let image = lab.sandbox.path().join("small.iso");
    std::fs::write(&image, [7; 5000]).expect("written");

    python
        .args(["-c", PROXMOXER, host, port, user, name, value])
        .arg(&lab.written.ca_file)
        .arg(image);

    assert_eq!(said(&mut python), "all of it\n");
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was left out says so")]
fn curl_logs_in_by_ticket_makes_a_vm_and_destroys_it() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: curl is not installed");
        return;
    }
    let lab = Served::begin();
    let curl = |arguments: &[&str], path: &str| {
        let ran = Command::new("curl")
            .args(["-sS", "--cacert"])
            .arg(&lab.written.ca_file)
            .args(arguments)
            .arg(format!("{}/api2/json{path}", lab.written.endpoints[0]))
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or(serde_json::Value::String(text))
    };
    let login = format!("username=root@pam&password={}", lab.written.password);
    let ticket = curl(&["-d", &login], "/access/ticket")["data"].clone();
    let cookie = format!(
        "PVEAuthCookie={}",
        ticket["ticket"].as_str().expect("a ticket")
    );
    let csrf = format!(
        "CSRFPreventionToken: {}",
        ticket["CSRFPreventionToken"].as_str().expect("a token")
    );
    let logged_in = ["-b", cookie.as_str(), "-H", csrf.as_str()];
    let call = |more: &[&str], path: &str| curl(&[&logged_in[..], more].concat(), path);

    let refused = curl(
        &[
            "-b",
            &cookie,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-d",
            "poolid=x",
        ],
        "/pools",
    );
    assert_eq!(refused, 401, "a write without the token");
    let made = call(
        &[
            "-d",
            "vmid=100&name=by-curl&memory=256&scsi0=shared:1&net0=virtio,bridge=vmbr0",
        ],
        "/nodes/pve1/qemu",
    );
    lab.client().wait(&made["data"]);
    assert_eq!(
        call(&[], "/nodes/pve1/qemu/100/config")["data"]["name"],
        "by-curl"
    );
    let destroyed = call(&["-X", "DELETE"], "/nodes/pve1/qemu/100?purge=1");
    assert_eq!(lab.client().wait(&destroyed["data"]), "OK");
}
