//! Key pairs. They belong to users.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{PrivateKey, PublicKey};
use serde_json::{Value, json};

use crate::openstack::estate::{Kind, Shown, fine_moment, shown, text};
use crate::openstack::listing::Listing;
use crate::openstack::shape::{Member, Object, Shape, check};
use crate::openstack::{Answer, Call, Failure, Outcome, Version};
use crate::world::now;

/// `nova/api/openstack/compute/schemas/keypairs.py`.
static CREATE: Object = Object {
    members: &[Member("keypair", 1, Shape::Object(&KEYPAIR))],
    needed: &["keypair"],
    is_open: false,
};

static KEYPAIR: Object = Object {
    members: &[
        Member("name", 1, Shape::Name),
        Member("public_key", 1, Shape::Text(0, 65_535)),
        Member("type", 2, Shape::Word(&["ssh", "x509"])),
        Member("user_id", 10, Shape::Text(1, 255)),
    ],
    needed: &["name"],
    is_open: false,
};

fn key(call: &Call<'_>, name: &str) -> String {
    format!("{}/{name}", call.caller.user)
}

/// Returns the public key of the caller's key pair of a name.
pub(super) fn public_key(call: &Call<'_>, name: &str) -> Option<String> {
    let found = call.world.openstack.get(Kind::Keypair, &key(call, name))?;
    Some(text(found, "public_key").to_owned())
}

/// Returns a key pair as a version shows it.
fn told(call: &Call<'_>, keypair: &Shown) -> Shown {
    let mut told = keypair.clone();
    if call.version < Version(2, 2) {
        told.remove("type");
    }
    told
}

/// `GET /v2.1/os-keypairs`.
pub(super) fn list(call: &mut Call<'_>) -> Outcome {
    let all = call.world.openstack.all(Kind::Keypair).into_iter();
    let own = all.filter(|(_, keypair)| text(&keypair.shown, "user_id") == call.caller.user);
    let mut items: Vec<Shown> = own.map(|(_, keypair)| told(call, &keypair.shown)).collect();
    items.sort_by(|one, other| text(one, "name").cmp(text(other, "name")));
    for item in &mut items {
        item.retain(|name, _| {
            matches!(
                name.as_str(),
                "name" | "public_key" | "fingerprint" | "type"
            )
        });
    }
    let listing = Listing {
        many: "keypairs",
        path: "/compute/v2.1/os-keypairs".into(),
        items,
    };
    let mut page = listing.page(call)?;
    // Each stands under its name.
    let wrapped = page["keypairs"].as_array().into_iter().flatten();
    let wrapped: Vec<Value> = wrapped
        .map(|keypair| json!({ "keypair": keypair }))
        .collect();
    page["keypairs"] = json!(wrapped);
    Answer::ok(page)
}

fn find(call: &Call<'_>) -> Result<Shown, Failure> {
    let name = call.id();
    let found = call
        .world
        .openstack
        .get(Kind::Keypair, &key(call, &name))
        .cloned();
    found.ok_or_else(|| {
        Failure::missing(format!(
            "Keypair {name} not found for user {}",
            call.caller.user
        ))
    })
}

/// `GET /v2.1/os-keypairs/{id}`.
pub(super) fn show(call: &mut Call<'_>) -> Outcome {
    let found = find(call)?;
    Answer::ok(json!({ "keypair": told(call, &found) }))
}

/// `DELETE /v2.1/os-keypairs/{id}`.
pub(super) fn delete(call: &mut Call<'_>) -> Outcome {
    find(call)?;
    let key = key(call, &call.id());
    call.world.openstack.take(Kind::Keypair, &key);
    Answer::empty(if call.version < Version(2, 2) {
        202
    } else {
        204
    })
}

/// Makes a pair, and returns both keys.
fn generate() -> Option<(String, String)> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).ok()?;
    let key = PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed)), "").ok()?;
    let private = key.to_openssh(LineEnding::LF).ok()?.to_string();
    Some((private, key.public_key().to_openssh().ok()?))
}

/// Returns the MD5 of a public key, in pairs of hexadecimal digits; none where it is no key.
fn fingerprint(key: &str) -> Option<String> {
    PublicKey::from_openssh(key.trim()).ok()?;
    let bytes = STANDARD.decode(key.split_whitespace().nth(1)?).ok()?;
    let pairs: Vec<String> = md5::compute(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(pairs.join(":"))
}

/// `POST /v2.1/os-keypairs`.
pub(super) fn create(call: &mut Call<'_>) -> Outcome {
    check(&CREATE, &call.body, call.version)?;
    let sent = call.body["keypair"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let name = text(&sent, "name").to_owned();
    let user = text(&sent, "user_id");
    if !user.is_empty() && user != call.caller.user {
        return Err(Failure::forbidden(
            "Policy doesn't allow os_compute_api:os-keypairs:create to be performed.",
        ));
    }
    if text(&sent, "type") == "x509" {
        return Err(Failure::not_served("key pairs of the type x509"));
    }
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_@. ".contains(it);
    if !name.chars().all(is_plain) {
        return Err(Failure::bad(
            "Keypair data is invalid: Keypair name contains unsafe characters",
        ));
    }
    let most = call.quota("key_pairs");
    let all = call.world.openstack.all(Kind::Keypair).into_iter();
    let has = all
        .filter(|(_, keypair)| text(&keypair.shown, "user_id") == call.caller.user)
        .count();
    if most >= 0 && i64::try_from(has).unwrap_or(i64::MAX) >= most {
        return Err(Failure::forbidden("Quota exceeded, too many key pairs."));
    }
    let key = key(call, &name);
    if call.world.openstack.get(Kind::Keypair, &key).is_some() {
        return Err(Failure::conflict(format!(
            "Key pair '{name}' already exists."
        )));
    }
    let (private, public) = match sent.get("public_key").and_then(Value::as_str) {
        Some(public) => (None, public.trim().to_owned()),
        None => {
            let made = generate().ok_or_else(|| Failure::bad("Keypair data is invalid"))?;
            (Some(made.0), made.1)
        }
    };
    let fingerprint = fingerprint(&public)
        .ok_or_else(|| Failure::bad("Keypair data is invalid: failed to generate fingerprint"))?;
    let made = shown(json!({
        "name": name, "public_key": public, "fingerprint": fingerprint, "type": "ssh", "user_id": call.caller.user,
        "created_at": fine_moment(now()), "deleted": false, "deleted_at": null, "id": call.world.openstack.next_number(), "updated_at": null,
    }));
    let mut answer = told(call, &made);
    answer.retain(|name, _| {
        matches!(
            name.as_str(),
            "name" | "public_key" | "fingerprint" | "type" | "user_id"
        )
    });
    if let Some(private) = private {
        answer.insert("private_key".into(), json!(private));
    }
    let project = call.caller.project.clone();
    call.world
        .openstack
        .put(Kind::Keypair, &key, &project, made);
    let status = if call.version < Version(2, 2) {
        200
    } else {
        201
    };
    Answer::with(status, json!({ "keypair": answer }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_that_of_a_key_alone() {
        let (_, public) = generate().expect("a pair");
        let found = fingerprint(&format!("{public} somebody")).expect("a fingerprint");
        assert_eq!(found.len(), 47);
        assert_eq!(fingerprint("ssh-ed25519 AAAA"), None);
        assert_eq!(fingerprint("no key"), None);
    }
}
