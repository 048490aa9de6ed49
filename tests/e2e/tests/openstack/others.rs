//! Clients that are not ours: the `openstack` command line and openstacksdk, where they are installed.

use std::process::Command;

use super::Served;
use super::clients::{python_with, said};

/// The life of a stack, for openstacksdk.
const SDK: &str = r#"
import sys
import openstack
from openstack import exceptions

c = openstack.connect(cloud=sys.argv[1])
assert [f.name for f in c.compute.flavors()] == ["small", "medium", "large"]
image = c.image.find_image("debian-13")
outside = c.network.find_network("public")
network = c.network.create_network(name="sdk")
subnet = c.network.create_subnet(network_id=network.id, ip_version=4, cidr=sys.argv[2] + ".0/25", name="sdk")
router = c.network.create_router(name="sdk", external_gateway_info={"network_id": outside.id})
c.network.add_interface_to_router(router, subnet_id=subnet.id)
group = c.network.create_security_group(name="sdk")
rule = c.network.create_security_group_rule(security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=22, port_range_max=22)
key = c.compute.create_keypair(name="sdk")
assert "PRIVATE KEY" in key.private_key
server = c.compute.create_server(name="sdk", flavor_id=c.compute.find_flavor("small").id, image_id=image.id, key_name="sdk",
    networks=[{"uuid": network.id}], security_groups=[{"name": "sdk"}], metadata={"a": "b"})
server = c.compute.wait_for_server(server, interval=0.1)
assert server.status == "ACTIVE", server
assert server.flavor["original_name"] == "small", server.flavor
assert [s.id for s in c.compute.servers(name="sdk")] == [server.id]
port = next(c.network.ports(device_id=server.id))
ip = c.network.create_ip(floating_network_id=outside.id, port_id=port.id)
assert c.network.get_ip(ip.id).fixed_ip_address == port.fixed_ips[0]["ip_address"]
volume = c.block_storage.create_volume(size=1, name="sdk")
volume = c.block_storage.wait_for_status(volume, status="available", interval=0.1)
c.compute.create_volume_attachment(server, volume_id=volume.id)
volume = c.block_storage.wait_for_status(volume, status="in-use", interval=0.1)
assert [a.volume_id for a in c.compute.volume_attachments(server)] == [volume.id]
c.compute.delete_volume_attachment(server, volume.id)
volume = c.block_storage.wait_for_status(volume, status="available", interval=0.1)
snapshot = c.block_storage.create_snapshot(volume_id=volume.id, name="sdk")
snapshot = c.block_storage.wait_for_status(snapshot, status="available", interval=0.1)
c.compute.stop_server(server)
server = c.compute.wait_for_server(server, status="SHUTOFF", interval=0.1)
c.compute.start_server(server)
server = c.compute.wait_for_server(server, interval=0.1)
own = c.image.create_image(name="own", disk_format="raw", container_format="bare", data=b"some bytes", wait=True)
assert c.image.get_image(own.id).size == 10
assert c.image.download_image(own).content == b"some bytes"
try:
    c.network.delete_network(network.id)
    raise SystemExit("a network in use was deleted")
except exceptions.ConflictException:
    pass
c.image.delete_image(own)
c.block_storage.delete_snapshot(snapshot)
c.block_storage.wait_for_delete(snapshot, interval=0.1)
c.compute.delete_server(server)
c.compute.wait_for_delete(server, interval=0.1)
c.block_storage.delete_volume(volume)
c.block_storage.wait_for_delete(volume, interval=0.1)
c.network.delete_ip(ip)
c.network.remove_interface_from_router(router, subnet_id=subnet.id)
c.network.delete_router(router)
c.network.delete_network(network)
c.network.delete_security_group(group)
c.compute.delete_keypair("sdk")
assert [n.name for n in c.network.networks()] == ["public"]
print("all of it")
"#;

#[test]
fn openstacksdk_drives_the_life_of_a_stack() {
    if python_with("openstack").is_none() {
        return;
    }
    let lab = Served::begin(2, "");
    let openstack = lab.written.openstack.as_ref().expect("an OpenStack");
    for cloud in ["lab", "lab-member"] {
        let mut python = python_with("openstack").expect("it was there");
        python
            .args(["-c", SDK, cloud, &format!("127.{}", lab.block)])
            .env("OS_CLIENT_CONFIG_FILE", &openstack.clouds_file);
        assert_eq!(said(&mut python), "all of it\n");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was left out says so")]
fn the_openstack_command_line_works_with_the_lab() {
    let program = std::env::var("DMP_TEST_OPENSTACK").unwrap_or_else(|_| "openstack".into());
    if Command::new(&program).arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no `{program}` (DMP_TEST_OPENSTACK names one)");
        return;
    }
    let lab = Served::begin(3, "");
    let openstack = lab.written.openstack.as_ref().expect("an OpenStack");
    let run = |line: &str| {
        let mut command = Command::new(&program);
        command
            .args(line.split(' '))
            .env("OS_CLIENT_CONFIG_FILE", &openstack.clouds_file)
            .env("OS_CLOUD", "lab-member");
        said(&mut command).trim().to_owned()
    };
    run("token issue -f value -c id");
    assert!(run("catalog list").contains("identity"));
    let id = run("network create cli -f value -c id");
    assert_eq!(run("network show cli -f value -c id"), id);
    let range = format!("127.{}.0/25", lab.block);
    run(&format!(
        "subnet create --network cli --subnet-range {range} cli"
    ));
    run("router create cli");
    run("router set --external-gateway public cli");
    run("router add subnet cli cli");
    run("security group create cli");
    run("security group rule create --protocol tcp --dst-port 22 cli");
    run(
        "server create --flavor small --image debian-13 --network cli --security-group cli --wait cli",
    );
    assert_eq!(run("server show cli -f value -c status"), "ACTIVE");
    assert_eq!(run("server list -f value -c Name"), "cli");
    let floating = run("floating ip create public -f value -c floating_ip_address");
    run(&format!("server add floating ip cli {floating}"));
    assert!(run("server show cli -f value -c addresses").contains(&floating));
    run("volume create --size 1 cli");
    run("server set --property a=b cli");
    run("server stop cli");
    run("quota show");
    run("limits show --absolute");
    run("availability zone list");
    run("server delete --wait cli");
    run(&format!("floating ip delete {floating}"));
    run("router remove subnet cli cli");
    run("router delete cli");
    run("network delete cli");
    run("security group delete cli");
    run("volume delete cli");
}
