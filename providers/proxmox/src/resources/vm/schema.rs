//! The attributes of a machine.

use dmp_sdk::{Attribute, HoldsData, Layer, ListedBy, Machine, MarkWay, Quantifier, Schema, Type};

pub(super) fn schema() -> Schema {
    let schema = Schema::new(
        "proxmox_vm",
        "A virtual machine on Proxmox VE: a clone of a template, a machine from a cloud image, or one that boots a disc. What can be \
         changed in place is; what needs a reboot is said in the plan.\n\n\
         It is dmp's own by a mark in its description, a tag and an SMBIOS UUID together, and never by its id alone.",
    )
    .layer(Layer::Machine)
    .mark(MarkWay::Field("description"))
    .ends_hosted()
    .listed_by(ListedBy {
        data_source: "proxmox_guests",
        only: &[("kind", "qemu")],
        items: "guests",
        id: "vmid",
        name: "name",
    })
    .holds_data(HoldsData::None)
    .on_delete(
        "The machine is stopped and destroyed with its disks. Where a disk is `primary` that is refused.",
    )
    .attribute("name", Attribute::required(Type::String, "Its name, a DNS name such as `web-1`."))
    .attribute(
        "node",
        Attribute::optional_computed(
            Type::String,
            "The node that it runs on. Left open, it is placed on the node with the most free memory that has its storages, away \
             from members of its `group`, and stays there. Another node moves it, running.",
        )
        .hosting(Quantifier::All),
    )
    .attribute(
        "vmid",
        Attribute::optional_computed(
            Type::Number,
            "Its id in the cluster. By default the next free one of the provider's `vm_ids`.",
        )
        .replaces()
        .unique(),
    );
    let schema = source(schema);
    let schema = hardware(schema);
    let schema = first_boot(schema);
    let schema = life(schema);
    computed(schema)
}

fn source(schema: Schema) -> Schema {
    let clone = Type::object_of_optional([
        ("template", Type::String),
        ("full", Type::Bool),
        ("storage", Type::String),
    ]);
    schema
        .attribute(
            "clone",
            Attribute::optional(
                clone,
                "The machine or template that it is a copy of: `template` is its id or its name, `full = false` makes a linked clone of a \
                 template (by default the copy is whole), `storage` is where a whole copy goes.",
            )
            .replaces()
            .block(),
        )
        .attribute(
            "iso",
            Attribute::optional(
                Type::String,
                "A disc in its drive, as a volume: `local:iso/debian-13.iso`.",
            ),
        )
}

/// The type of a `disk` block.
pub(super) fn disk_type() -> Type {
    Type::object_of_optional([
        ("slot", Type::String),
        ("storage", Type::String),
        ("size_gib", Type::Number),
        ("import_from", Type::String),
        ("format", Type::String),
        ("cache", Type::String),
        ("discard", Type::Bool),
        ("ssd", Type::Bool),
        ("iothread", Type::Bool),
        ("backup", Type::Bool),
        ("read_only", Type::Bool),
        ("replicate", Type::Bool),
        ("aio", Type::String),
        ("serial", Type::String),
        ("primary", Type::Bool),
    ])
}

/// The type of a `network` block.
pub(super) fn network_type() -> Type {
    Type::object_of_optional([
        ("bridge", Type::String),
        ("model", Type::String),
        ("vlan", Type::Number),
        ("firewall", Type::Bool),
        ("mtu", Type::Number),
        ("mac", Type::String),
        ("queues", Type::Number),
        ("rate_mbytes", Type::Number),
        ("connected", Type::Bool),
    ])
}

fn hardware(schema: Schema) -> Schema {
    let efi =
        Type::object_of_optional([("storage", Type::String), ("pre_enrolled_keys", Type::Bool)]);
    schema
        .attribute("cores", Attribute::optional_computed(Type::Number, "Cores of each socket. A change waits for a reboot."))
        .attribute("sockets", Attribute::optional_computed(Type::Number, "Sockets. A change waits for a reboot."))
        .attribute("cpu_type", Attribute::optional_computed(Type::String, "The processor that it sees, such as `host` or `x86-64-v2-AES`; by default the latter, or what its template has. A change waits for a reboot."))
        .attribute("numa", Attribute::optional_computed(Type::Bool, "Whether memory and processors are in NUMA nodes, which hot-plugging them needs."))
        .attribute("memory_mib", Attribute::optional_computed(Type::Number, "Memory in MiB. A change waits for a reboot."))
        .attribute("balloon_mib", Attribute::optional_computed(Type::Number, "Memory in MiB that it keeps when the node needs some back; 0 gives nothing back."))
        .attribute("machine", Attribute::optional_computed(Type::String, "The chipset, such as `q35` or `pc`. A change waits for a reboot."))
        .attribute("bios", Attribute::optional_computed(Type::String, "`seabios` or `ovmf` (EFI; with `efi_disk`). A change waits for a reboot."))
        .attribute("efi_disk", Attribute::optional(efi, "Where EFI keeps its variables: `storage`, and whether Microsoft's keys are in it (`pre_enrolled_keys`).").block())
        .attribute("os_type", Attribute::optional_computed(Type::String, "What kind of system it runs; `l26` is any Linux."))
        .attribute("scsi_hardware", Attribute::optional_computed(Type::String, "The SCSI controller; `virtio-scsi-single` by default. A change waits for a reboot."))
        .attribute("disk", Attribute::optional(Type::list(disk_type()), DISK).block())
        .attribute("removed_disks", Attribute::default(Type::String, "What becomes of a disk whose block goes: `detach` keeps it as an unused volume of the machine, `delete` deletes it with its data; one that is `primary` is never deleted.", "detach"))
        .attribute("network", Attribute::optional(Type::list(network_type()), NETWORK).block())
        .attribute("serial", Attribute::optional_computed(Type::Bool, "Whether it has a serial console, which cloud images want. By default yes for what is no clone."))
        .attribute("vga", Attribute::optional_computed(Type::String, "Its display, such as `std`, `virtio` or `serial0`. A change waits for a reboot."))
        .attribute("agent", Attribute::optional_computed(Type::Bool, "Whether it has the channel of the guest agent, which tells addresses that come by DHCP. By default yes for what is no clone. The agent itself is a package inside."))
        .attribute("boot_order", Attribute::optional_computed(Type::list(Type::String), "What it boots from, in order: slots of disks and network devices, such as `[\"scsi0\", \"net0\"]`. By default the first disk."))
}

fn first_boot(schema: Schema) -> Schema {
    let address = Type::object_of_optional([
        ("ipv4", Type::String),
        ("gateway4", Type::String),
        ("ipv6", Type::String),
        ("gateway6", Type::String),
    ]);
    let cloud_init = Type::object_of_optional([
        ("user", Type::String),
        ("ssh_keys", Type::list(Type::String)),
        ("address", Type::list(address)),
        ("nameservers", Type::list(Type::String)),
        ("search_domains", Type::list(Type::String)),
        ("upgrade", Type::Bool),
        ("host_key", Type::Bool),
        ("storage", Type::String),
        ("seed_storage", Type::String),
    ]);
    schema
        .attribute("cloud_init", Attribute::optional(cloud_init, CLOUD_INIT).block())
        .attribute("user_data", Attribute::optional(Type::String, "More cloud-config (`#cloud-config …`) for the first boot, beside what `cloud_init` makes.").sensitive())
        .attribute("bastion", Attribute::optional(Machine::value_type(), "The machine to go through to look whether it has come up, where its address can't be reached from here: the `connection` of another machine. It becomes a part of `connection`."))
        .attribute("ssh_port", Attribute::default(Type::Number, "The TCP port of its SSH server, where it is looked whether it has come up; a part of `connection`.", 22))
        .attribute("boot_seconds", Attribute::default(Type::Number, "How long a new machine may take until its SSH server answers, where it was told something by a seed image, or until its agent tells an address that comes by DHCP.", 300))
}

fn life(schema: Schema) -> Schema {
    let startup = Type::object_of_optional([
        ("order", Type::Number),
        ("up_seconds", Type::Number),
        ("down_seconds", Type::Number),
    ]);
    schema
        .attribute("started", Attribute::default(Type::Bool, "Whether it runs. `false` shuts it down, and turns it off after a minute.", true))
        .attribute("reboot", Attribute::default(Type::Bool, "Whether it is rebooted where a change needs that. With `false` the change waits for the next boot, and `pending` names it.", true))
        .attribute("start_at_boot", Attribute::optional_computed(Type::Bool, "Whether it starts with its node."))
        .attribute("startup", Attribute::optional(startup, "When it starts and stops among the others of its node: `order`, and how long to wait after its start (`up_seconds`) and for its end (`down_seconds`). Needs `Sys.Modify` on `/`.").block())
        .attribute("hotplug", Attribute::optional_computed(Type::String, "What can be changed while it runs: `network,disk,usb` by default; `memory` and `cpu` need `numa`."))
        .attribute("group", Attribute::optional(Type::String, "The group whose members are placed on different nodes, where there are enough. It stands in a tag."))
        .attribute("tags", Attribute::optional(Type::set(Type::String), "Its tags, beside those that dmp needs itself. Small and capital letters are the same."))
        .attribute("pool", Attribute::optional(Type::String, "The pool that it is in."))
        .attribute("description", Attribute::optional(Type::String, "A text about it. dmp's mark stands under it."))
        .attribute("protection", Attribute::optional_computed(Type::Bool, "Whether it and its disks can't be removed, by dmp neither: set it to `false` and apply first."))
}

fn computed(schema: Schema) -> Schema {
    schema
        .attribute("uuid", Attribute::computed(Type::String, "Its SMBIOS UUID, which no copy of it has."))
        .attribute("mac_addresses", Attribute::computed(Type::list(Type::String), "The MAC addresses of its network devices, in order."))
        .attribute("address", Attribute::computed(Type::String, "The address by which it is reached: the first one that `cloud_init` gives it, or that its agent tells. Null where nobody knows."))
        .attribute("host_key", Attribute::computed(Type::String, "The public host key that dmp gave it at the first boot, as `ssh-ed25519 AAAA…`: the first connection is checked against it."))
        .attribute("connection", Attribute::computed(Machine::value_type(), "How it is reached over SSH, with its host key: what resources of the provider `host` take as `host`. Null while its address is not known."))
        .attribute("pending", Attribute::computed(Type::list(Type::String), "Settings of it that wait for a reboot."))
        .attribute("failure_domains", Attribute::computed(Type::list(Type::String), "What it dies with: its node, and the storages of its disks, those of one node alone with its name: `node:pve1`, `storage:ceph`, `storage:local@pve1`."))
}

const DISK: &str = "A disk. `slot` is where it is (`scsi0`, `virtio1`, `sata0`, `ide0`; by default the next `scsi`), `storage` where its volume goes. \
    `size_gib` grows in place, and never shrinks. `import_from` is the volume that it begins as (the `volume` of a `proxmox_image`); a disk that \
    a clone brings along is named by its slot. `format` is `raw`, `qcow2` or `vmdk`. `cache` (`none`, `writeback` …), `discard`, `ssd`, `iothread`, `backup`, `read_only`, \
    `replicate`, `aio` and `serial` are as Proxmox has them; what is not set is left as it is. `primary = true` says that it holds data which exists nowhere \
    else: then dmp refuses to delete the machine or the disk, until that is set to `false` and applied.";

const NETWORK: &str = "A network device: `bridge`, `model` (`virtio` by default), `vlan`, `firewall`, `mtu` (1 takes the bridge's), `mac` (by default the server chooses, and it stays), \
    `queues`, `rate_mbytes` (MB/s), `connected` (`false` pulls the plug).";

const CLOUD_INIT: &str = "What it is told at its first boot: `user` (`debian` by default) who logs in by `ssh_keys`, an `address` for each network device \
    (`ipv4 = \"dhcp\"` or `\"192.0.2.7/24\"` with `gateway4`, `ipv6 = \"auto\"`, `\"dhcp\"` or an address with `gateway6`), `nameservers`, `search_domains`, `upgrade` (packages at the first boot; off by default). \
    `host_key` (on by default) gives it an SSH host key of dmp's making, so that the first connection is checked: then all of this goes by a seed image, uploaded to `seed_storage` \
    (by default the first storage for discs) and removed after the first boot, and a later change reaches only a machine that is made anew. With `host_key = false` and no `user_data` it goes by Proxmox' own \
    drive on `storage` (by default that of the first disk), where a change reaches the machine at its next boot; cloud-init then takes it for a new machine, and makes new host keys.";
