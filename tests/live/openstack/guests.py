"""What a cloud needs whose servers are real guests under qemu, on networks that carry packets: the hypervisor's configuration and
that of Neutron's agents. Guests are emulated: no host has to offer KVM."""

# The interface behind the network that leads out, and its other end, which is the gateway there.
OUTSIDE, GATEWAY, GATEWAY_ADDRESS = 'live-out', 'live-out-gw', '203.0.113.1/24'
# Between hosts networks go through a tunnel; there is one host, and nobody answers at the other end.
TUNNEL, TUNNEL_ADDRESS = 'live-tun', '198.18.0.1'

PACKAGES = ('qemu-system-x86 seabios ipxe-qemu genisoimage libvirt-daemon-system libvirt-clients dnsmasq-base iproute2 iptables ebtables '
            'ipset conntrack iputils-arping sudo procps util-linux curl').split()

# Name and size of the flavors: cores, memory in MiB, disk in GiB.
FLAVORS = (('1', 'guest.small', 1, 1024, 4), ('2', 'guest.more', 1, 1280, 5))


def of_nova():
    return {'libvirt': {'virt_type': 'qemu', 'connection_uri': 'qemu:///system', 'cpu_mode': 'none', 'inject_partition': -2,
                        'hw_machine_type': 'x86_64=pc'}}


def linuxbridge(_place):
    return {'linux_bridge': {'physical_interface_mappings': 'external:' + OUTSIDE},
            'vxlan': {'enable_vxlan': 'true', 'local_ip': TUNNEL_ADDRESS, 'l2_population': 'false'},
            'securitygroup': {'firewall_driver': 'iptables', 'enable_security_group': 'true'},
            'experimental': {'linuxbridge': 'true'}}


def routers(_place):
    # Guests are told by a disc, so that nobody asks for metadata.
    return {'DEFAULT': {'interface_driver': 'linuxbridge', 'agent_mode': 'legacy', 'enable_metadata_proxy': 'false'}}


def dhcp(place):
    return {'DEFAULT': {'interface_driver': 'linuxbridge', 'dhcp_driver': 'neutron.agent.linux.dhcp.Dnsmasq',
                        'dnsmasq_config_file': place.conf(DNSMASQ), 'enable_isolated_metadata': 'false'}}


FILES = {'linuxbridge.conf': linuxbridge, 'l3.conf': routers, 'dhcp.conf': dhcp}

# It reads who has which address again when there is somebody new, and the cloud's folder may be for the superuser alone.
DNSMASQ, OF_DNSMASQ = 'dnsmasq.conf', 'user=root\ngroup=root\n'

# libvirt's own, mounted as /etc/libvirt within the namespaces.
QEMU = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
stdio_handler = "file"
namespaces = []
"""

LIBVIRTD = """\
host_uuid = "%s"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
