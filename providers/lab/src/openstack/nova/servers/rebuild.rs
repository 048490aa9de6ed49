//! The action that begins a server's local disk anew, as another image or the same.

use serde_json::{Value, json};

use super::create::{check_image, metadata};
use super::{alter, begin, find, read, word};
use crate::openstack::estate::{Kind, text};
use crate::openstack::nova::keypairs;
use crate::openstack::nova::server::{Doing, Server, State};
use crate::openstack::shape::{Member, Object, Shape, TEXT_OR_NULL, check};
use crate::openstack::{Answer, Call, Failure, Outcome};

/// `nova/api/openstack/compute/schemas/servers.py`; files by `personality`, which newer versions have no more, are not taken.
static REBUILD: Object = Object {
    members: &[Member("rebuild", 1, Shape::Object(&SERVER))],
    needed: &["rebuild"],
    is_open: false,
};

static SERVER: Object = Object {
    members: &[
        Member("name", 1, Shape::Name),
        Member("imageRef", 1, Shape::Uuid),
        Member("adminPass", 1, Shape::Text(0, 255)),
        Member("metadata", 1, Shape::Texts),
        Member("preserve_ephemeral", 1, Shape::Flag),
        Member("OS-DCF:diskConfig", 1, Shape::Word(&["AUTO", "MANUAL"])),
        Member("accessIPv4", 1, Shape::Ip),
        Member("accessIPv6", 1, Shape::Ip),
        Member("description", 19, TEXT_OR_NULL),
        Member("key_name", 54, Shape::Either(&[Shape::Name, Shape::Null])),
        Member(
            "user_data",
            57,
            Shape::Either(&[Shape::Base64(65_535), Shape::Null]),
        ),
        Member(
            "trusted_image_certificates",
            63,
            Shape::Either(&[Shape::List(&Shape::Text(1, 255), 50), Shape::Null]),
        ),
        Member("hostname", 90, Shape::Text(2, 63)),
    ],
    needed: &["imageRef"],
    is_open: false,
};

/// How long it takes, in seconds of life.
const SECONDS: f64 = 20.0;

/// `POST /v2.1/servers/{id}/action` with `rebuild`.
pub(super) fn rebuild(call: &mut Call<'_>) -> Outcome {
    check(&REBUILD, &call.body, call.version)?;
    let sent = call.body["rebuild"].clone();
    let image = word(&sent, "imageRef").unwrap_or_default();
    let server = find(call)?;
    server.must_be(&[State::Active, State::Stopped, State::Error], "rebuild")?;
    if server.launched.is_none() {
        return Err(Failure::conflict(
            "Cannot 'rebuild' an instance which has never been active",
        ));
    }
    check_image(
        call,
        &image,
        &server.flavor,
        "Cannot find image for rebuild",
    )?;
    if server.image.is_none() {
        check_volume(call, server, &image)?;
    }
    let key = key(call, &sent)?;
    let told = match sent.get("metadata") {
        Some(_) => Some(metadata(call, &sent)?),
        None => None,
    };
    alter(call, |server| {
        if let Some(name) = word(&sent, "name") {
            server.name = name;
        }
        if sent.get("description").is_some() {
            server.description = word(&sent, "description");
        }
        if sent.get("user_data").is_some() {
            server.user_data = word(&sent, "user_data");
        }
        if let Some(Key { name, public }) = key {
            (server.key_name, server.public_key) = (name, public);
        }
        if let Some(metadata) = told {
            server.metadata = metadata;
        }
        // One that boots from a volume shows none.
        if server.image.is_some() {
            server.image = Some(image);
        }
    });
    begin(call, "rebuild", "rebuilding", Doing::Rebuild, SECONDS);
    let server = find(call)?;
    let mut whole = read::whole(call, server);
    whole.insert(
        "adminPass".into(),
        json!(crate::secret(6).unwrap_or_default()),
    );
    if call.version.1 >= 57 {
        whole.insert("user_data".into(), json!(server.user_data));
    }
    Answer::with(202, json!({ "server": whole }))
}

/// The key that a server is to have, if any.
#[derive(Default)]
struct Key {
    name: Option<String>,
    public: Option<String>,
}

/// Returns the key that a server is to have from now on, where something is said of it.
fn key(call: &Call<'_>, sent: &Value) -> Result<Option<Key>, Failure> {
    let Some(named) = sent.get("key_name") else {
        return Ok(None);
    };
    let Some(name) = named.as_str() else {
        return Ok(Some(Key::default()));
    };
    match keypairs::public_key(call, name) {
        Some(key) => Ok(Some(Key {
            name: Some(name.to_owned()),
            public: Some(key),
        })),
        None => Err(Failure::bad("Invalid key_name provided.")),
    }
}

/// A volume that a server boots from stays as it is: it is of one image, and can't be of another (before version 2.93).
fn check_volume(call: &Call<'_>, server: &Server, image: &str) -> Result<(), Failure> {
    let estate = &call.world.openstack;
    let first = server.disks.first();
    let volume = first.and_then(|disk| estate.get(Kind::Volume, &disk.volume));
    let about = volume.and_then(|volume| volume.get("volume_image_metadata"));
    let is_of_image = about
        .and_then(Value::as_object)
        .is_some_and(|about| text(about, "image_id") == image);
    match is_of_image {
        true => Ok(()),
        false => Err(Failure::bad(format!(
            "Image {image} is unacceptable: Unable to rebuild with a different image for a volume-backed server."
        ))),
    }
}
