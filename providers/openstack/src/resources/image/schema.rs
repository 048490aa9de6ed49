//! The attributes of an image.

use dmp_sdk::{Attribute, Layer, MarkWay, Schema, Type};

pub(super) fn schema() -> Schema {
    let text = |doc| Attribute::optional(Type::String, doc);
    let computed = |ty, doc| Attribute::computed(ty, doc);
    Schema::new("openstack_image", "An image of Glance: a file that is sent from here, or that Glance fetches.")
        .layer(Layer::Machine)
        .mark(MarkWay::Field("properties"))
        .on_delete("The image is removed, which Glance refuses while it is `protected`. Servers that began as it stay; volumes and rebuilds can't begin as it any more.")
        .counterpart("openstack_images_image_v2", &["{id}"])
        .attribute("name", Attribute::required(Type::String, "Its name; several may have the same."))
        .attribute("disk_format", Attribute::required(Type::String, "What its file is: `qcow2`, `raw`, `iso`, `vmdk` and others.").replaces())
        .attribute("container_format", Attribute::default(Type::String, "What is around it: `bare` is nothing.", "bare").replaces())
        .attribute("file", text("A file here that is sent. What stands under this path is looked at only when the image is made: name a `checksum` to have a change noticed.").replaces())
        .attribute("url", text("Where Glance fetches it, `https://…`, in place of `file`; the cloud has to allow `web-download`.").replaces())
        .attribute("checksum", text("What the file has to be, `sha512:…` or `sha256:…`. A file is compared before it is sent, what Glance has fetched afterwards.").replaces())
        .attribute("visibility", Attribute::optional_computed(Type::String, "`private`, `shared` (the default), `community` or `public`; the last is for administrators."))
        .attribute("protected", Attribute::default(Type::Bool, "Whether Glance refuses to remove it.", false))
        .attribute("hidden", Attribute::default(Type::Bool, "Whether it is left out of listings.", false))
        .attribute("min_disk_gib", Attribute::default(Type::Number, "How large a disk it needs at least.", 0))
        .attribute("min_memory_mib", Attribute::default(Type::Number, "How much memory it needs at least.", 0))
        .attribute("properties", Attribute::optional(Type::map(Type::String), "Properties, such as `os_distro`, `hw_disk_bus`. Those that nobody sets here stay as they are. dmp's mark is one more, `dmp_mark`."))
        .attribute("tags", Attribute::optional(Type::set(Type::String), "Its tags."))
        .attribute("id", computed(Type::String, "Its id: what a server takes as `image_id`."))
        .attribute("project_id", computed(Type::String, "The project whose it is."))
        .attribute("size_bytes", computed(Type::Number, "The size of its file."))
        .attribute("digest", computed(Type::String, "The digest of its file that Glance has made, `sha512:…`."))
        .attribute("status", computed(Type::String, "`active`, `queued` or another."))
}
