//! The attributes of a server.

use dmp_sdk::{Attribute, Layer, Machine, MarkWay, Schema, Type};

use crate::object::by;

pub(super) fn schema() -> Schema {
    let schema = Schema::new("openstack_server", "A machine of Nova.")
        .layer(Layer::Machine)
        .mark(MarkWay::Field("metadata"))
        .ends_hosted()
        .listed_by(by("openstack_servers", "servers", "name"))
        .on_delete("The server and its local disk are gone, and volumes of it that go with it; ports that it was given stay.")
        .counterpart("openstack_compute_instance_v2", &["{id}"]);
    told(first_boot(disks(networks(machine(schema)))))
}

fn text(doc: &'static str) -> Attribute {
    Attribute::optional(Type::String, doc)
}

fn machine(schema: Schema) -> Schema {
    schema
        .attribute("name", Attribute::required(Type::String, "Its name, and what it calls itself at first."))
        .attribute("description", text("A text about it."))
        .attribute("flavor", Attribute::required(Type::String, "Its size: a flavor by name or id. A change resizes it, for which it is stopped for a while."))
        .attribute("availability_zone", Attribute::optional_computed(Type::String, "Its zone. Another one replaces it."))
        .attribute("key_name", text("The key pair that it lets in.").replaces())
        .attribute("started", Attribute::default(Type::Bool, "Whether it runs.", true))
        .attribute("metadata", Attribute::optional(Type::map(Type::String), "Names and texts about it, which it can read. dmp's mark is one more, `dmp_mark`."))
        .attribute("tags", Attribute::optional(Type::set(Type::String), "Its tags."))
        .attribute("scheduler_hints", Attribute::optional(Type::map(Type::String), "What the scheduler is told when it is made: `group` with the id of a server group, `same_host` and others.").replaces())
        .attribute("config_drive", Attribute::optional_computed(Type::Bool, "Whether it is told by a disc what it would else ask the network for. Some clouds give one to every server. Another choice replaces it."))
}

pub(super) fn network_type() -> Type {
    Type::object_of_optional([
        ("network_id", Type::String),
        ("port_id", Type::String),
        ("fixed_ip", Type::String),
        ("tag", Type::String),
    ])
}

fn networks(schema: Schema) -> Schema {
    schema
        .attribute(
            "network",
            Attribute::optional_computed(Type::list(network_type()), "Its plugs, in order: `port_id` of a port that is there, or `network_id` for a new one, with `fixed_ip` where the address matters; `tag` is a word by which the machine finds it. Changed in place: what is new is plugged in, what is left out is pulled. Where nothing is said Nova chooses the project's network; `[]` gives none.").block(),
        )
        .attribute("security_group_ids", Attribute::optional(Type::set(Type::String), "Security groups of the ports that Nova makes; `default` where nothing is said. A port that is there has its own."))
        .attribute("ssh_port", Attribute::default(Type::Number, "The port of its SSH server.", 22))
        .attribute("bastion", Attribute::optional(Machine::value_type(), "The machine to go through to reach it: the `connection` of another machine. It becomes a part of `connection`."))
}

pub(super) fn device_type() -> Type {
    Type::object_of_optional([
        ("source", Type::String),
        ("id", Type::String),
        ("destination", Type::String),
        ("boot_index", Type::Number),
        ("size_gib", Type::Number),
        ("volume_type", Type::String),
        ("delete_on_termination", Type::Bool),
        ("disk_bus", Type::String),
        ("device_type", Type::String),
        ("guest_format", Type::String),
        ("tag", Type::String),
    ])
}

fn disks(schema: Schema) -> Schema {
    schema
        .attribute("image_id", text("The image that its local disk begins as; what another one does says `on_image_change`. With a `block_device` to boot from it is left out."))
        .attribute("on_image_change", Attribute::default(Type::String, "What another `image_id` does: `replace` makes another server. `rebuild` begins the local disk of this one anew, with the user data as it is described then; its id, ports, addresses and volumes stay. A server that boots from a `block_device` is replaced in any case.", "replace"))
        .attribute("primary", Attribute::default(Type::Bool, "Whether its local disk holds data that may exist nowhere else: then it is never deleted, replaced or rebuilt without a word.", false))
        .attribute(
            "block_device",
            Attribute::optional(Type::list(device_type()), "Disks that it is made with: `source` is `image`, `volume`, `snapshot` or `blank` with its `id`; `destination` is `volume` (the default) or `local`; `boot_index = 0` is what it boots from; `size_gib`, `volume_type`, `delete_on_termination` (off unless said), `disk_bus`, `device_type`, `guest_format`, `tag`. Later ones are `openstack_volume_attachment`s.")
                .block()
                .replaces(),
        )
}

pub(super) fn cloud_init_type() -> Type {
    Type::object_of_optional([
        ("user", Type::String),
        ("ssh_keys", Type::list(Type::String)),
        ("host_key", Type::Bool),
        ("upgrade", Type::Bool),
    ])
}

fn first_boot(schema: Schema) -> Schema {
    schema
        .attribute(
            "cloud_init",
            Attribute::optional(cloud_init_type(), "What it is told at its first boot: `user` (`debian` by default) who logs in by `ssh_keys`, `upgrade` (packages; off by default). `host_key` (on by default) gives it an SSH host key of dmp's making, so that the first connection is checked; whoever is logged in there can read that key from the metadata, so let the machine make its own afterwards. A later change reaches only a server that is made anew or rebuilt.").block(),
        )
        .attribute("user_data", text("More for cloud-init: a `#cloud-config` or a script. A later change reaches only a server that is made anew or rebuilt.").sensitive())
}

fn told(schema: Schema) -> Schema {
    let computed = |doc| Attribute::computed(Type::String, doc);
    let port = Type::object_of_optional([
        ("port_id", Type::String),
        ("network_id", Type::String),
        ("mac_address", Type::String),
        ("addresses", Type::list(Type::String)),
    ]);
    schema
        .attribute("id", computed("Its id."))
        .attribute("project_id", computed("The project that it is in."))
        .attribute("address", computed("The first address of its first plug; IPv4 before IPv6."))
        .attribute("ports", Attribute::computed(Type::list(port), "Its plugs as they are: `port_id`, `network_id`, `mac_address`, `addresses`; those of `network` first, in that order."))
        .attribute("connection", Attribute::computed(Machine::value_type(), "How it is reached by SSH, with `cloud_init`: what resources of the provider `host` take as `host`."))
        .attribute("host_key", computed("The host key of its first boot."))
        .attribute("failure_domains", Attribute::computed(Type::list(Type::String), "What it is lost with: its zone and its host. Where the cloud does not show its hosts, `host` is a word that is the same for all servers of the project there."))
        .attribute("status", computed("`ACTIVE`, `SHUTOFF`, `ERROR` or another."))
}
