//! Neutron: networks and what hangs on them. All collections are served in one way, by a description of each and what it does
//! of its own.

mod attributes;
mod beside;
mod floating_ips;
mod guards;
mod networks;
mod ports;
mod quotas;
mod routers;
mod rules;
mod security_groups;
mod space;
mod subnets;
mod tags;
mod ways;

use serde_json::{Value, json};

use super::estate::{Estate, Kind, Object, Shown, moment, shown, text};
use super::listing::Listing;
use super::{Answer, Call, Failure, Outcome, Route};
use crate::world::{World, now};
use attributes::Attribute;
pub(crate) use guards::{Allowed, Guard};
pub(super) use networks::has_users;
pub(super) use ports::{NewPort, in_use as ports_in_use, make as make_port, remove as remove_port};
pub(super) use security_groups::default_group;
pub(crate) use ways::{Plug, Way};

pub(super) const ROUTES: &[Route] = &[
    ("GET /v2.0/{collection}", list),
    ("POST /v2.0/{collection}", create),
    ("GET /v2.0/{collection}/{id}", get),
    ("PUT /v2.0/{collection}/{id}", update),
    ("DELETE /v2.0/{collection}/{id}", delete),
    (
        "PUT /v2.0/routers/{id}/add_router_interface",
        routers::add_interface,
    ),
    (
        "PUT /v2.0/routers/{id}/remove_router_interface",
        routers::remove_interface,
    ),
    (
        "PUT /v2.0/routers/{id}/add_extraroutes",
        routers::add_routes,
    ),
    (
        "PUT /v2.0/routers/{id}/remove_extraroutes",
        routers::remove_routes,
    ),
    ("GET /v2.0/{collection}/{id}/tags", tags::list),
    ("PUT /v2.0/{collection}/{id}/tags", tags::replace),
    ("DELETE /v2.0/{collection}/{id}/tags", tags::clear),
    ("GET /v2.0/{collection}/{id}/tags/{tag}", tags::look),
    ("PUT /v2.0/{collection}/{id}/tags/{tag}", tags::add),
    ("DELETE /v2.0/{collection}/{id}/tags/{tag}", tags::remove),
    ("GET /v2.0/extensions", beside::extensions),
    ("GET /v2.0/extensions/{alias}", beside::extension),
    ("GET /v2.0/availability_zones", beside::zones),
    ("GET /v2.0/quotas/{project}", quotas::limits),
    ("GET /v2.0/quotas/{project}/details.json", quotas::details),
    ("GET /v2.0/quotas/{project}/details", quotas::details),
    ("GET /v2.0/quotas/{project}/default", quotas::limits),
];

/// A collection of objects of one kind.
struct Collection {
    kind: Kind,
    /// The part of the path.
    path: &'static str,
    one: &'static str,
    many: &'static str,
    /// What one that is not there is told of by: its type, and the words before and after its id.
    missing: (&'static str, &'static str, &'static str),
    attributes: &'static [Attribute],
    /// Works out what was not sent, and refuses what can't be; may make other objects.
    make: fn(&mut Call<'_>, &mut Shown) -> Result<(), Failure>,
    /// Refuses a change that can't be, and carries its consequences; the object is as it will be.
    change: fn(&mut Call<'_>, &str, &mut Shown) -> Result<(), Failure>,
    /// Refuses a delete that can't be, and carries its consequences.
    remove: fn(&mut Call<'_>, &str) -> Result<(), Failure>,
    /// What is shown beside what is kept.
    show: fn(&Estate, &mut Shown),
    /// Lets machines follow, once an object was made, changed or removed; it is told of the object before and after.
    follow: fn(&mut World, &Shown),
}

static COLLECTIONS: [&Collection; 7] = [
    &networks::COLLECTION,
    &subnets::COLLECTION,
    &ports::COLLECTION,
    &routers::COLLECTION,
    &floating_ips::COLLECTION,
    &security_groups::COLLECTION,
    &rules::COLLECTION,
];

/// Nothing is shown beside.
fn plain(_: &Estate, _: &mut Shown) {}

/// No machine follows.
fn nobody(_: &mut World, _: &Shown) {}

impl Collection {
    /// Returns the collection that a path names.
    fn of(call: &Call<'_>) -> Result<&'static Collection, Failure> {
        let path = call.at("collection");
        let mut all = COLLECTIONS.iter();
        let found = all.find(|collection| collection.path == path);
        found
            .copied()
            .ok_or_else(|| Failure::not_served(format!("`{path}` of Neutron")))
    }

    /// Returns an object that may be seen.
    fn find<'w>(&self, call: &'w Call<'_>, id: &str) -> Result<&'w Object, Failure> {
        let estate = &call.world.openstack;
        let found = estate.object(self.kind, id);
        let (kind, before, after) = self.missing;
        found
            .filter(|object| call.sees(&object.project) || is_for_all(estate, self.kind, object))
            .ok_or_else(|| Failure::of(404, kind, format!("{before} {id} {after}")))
    }

    /// Returns an object that may be changed.
    fn own<'w>(&self, call: &'w Call<'_>, id: &str) -> Result<&'w Object, Failure> {
        let object = self.find(call, id)?;
        match call.sees(&object.project) {
            true => Ok(object),
            false => Err(Failure::of(
                403,
                "PolicyNotAuthorized",
                format!("(rule:update_{}) is disallowed by policy", self.one),
            )),
        }
    }

    fn shown(&self, estate: &Estate, object: &Object) -> Shown {
        let mut shown = object.shown.clone();
        (self.show)(estate, &mut shown);
        shown
    }

    fn told(&self, call: &Call<'_>, id: &str, status: u16) -> Outcome {
        let object = self.find(call, id)?;
        let object = Value::Object(self.shown(&call.world.openstack, object));
        Answer::with(status, json!({ self.one: object }))
    }
}

/// Whether an object of another project may be seen: the networks that lead out, and what is shared.
fn is_for_all(estate: &Estate, kind: Kind, object: &Object) -> bool {
    let is_open = |network: &Shown| network["router:external"] == true || network["shared"] == true;
    match kind {
        Kind::Network => is_open(&object.shown),
        Kind::Subnet => {
            let network = estate.get(Kind::Network, text(&object.shown, "network_id"));
            network.is_some_and(is_open)
        }
        _ => false,
    }
}

/// Returns what every new object has.
pub(super) fn standard(project: &str) -> Shown {
    let moment = moment(now());
    shown(json!({
        "project_id": project, "tenant_id": project, "description": "", "tags": [], "revision_number": 1,
        "created_at": moment, "updated_at": moment,
    }))
}

/// Returns the object that was sent under its name.
fn sent(call: &Call<'_>, one: &str) -> Result<Shown, Failure> {
    let sent = call.body.get(one).and_then(Value::as_object);
    sent.cloned()
        .ok_or_else(|| Failure::bad(format!("Unable to find '{one}' in request body")))
}

fn list(call: &mut Call<'_>) -> Outcome {
    let collection = Collection::of(call)?;
    let unknown: Vec<String> = Listing::filters(call)
        .filter(|name| !attributes::is_known(collection.attributes, name))
        .filter(|name| !matches!(*name, "tags" | "tags-any" | "not-tags" | "not-tags-any"))
        .map(|name| format!("'{name}'"))
        .collect();
    if !unknown.is_empty() {
        let message = format!(
            "[{}] is invalid attribute for filtering",
            unknown.join(", ")
        );
        return Err(Failure::bad(message));
    }
    let estate = &call.world.openstack;
    let all = estate.all(collection.kind).into_iter();
    let seen = all.filter(|(_, object)| {
        call.sees(&object.project) || is_for_all(estate, collection.kind, object)
    });
    let mut listing = Listing {
        many: collection.many,
        path: format!("/network/v2.0/{}", collection.path),
        items: seen
            .map(|(_, object)| collection.shown(estate, object))
            .collect(),
    };
    listing.filter(call, |_| true);
    Answer::ok(listing.page(call)?)
}

fn get(call: &mut Call<'_>) -> Outcome {
    let collection = Collection::of(call)?;
    collection.told(call, &call.id(), 200)
}

fn create(call: &mut Call<'_>) -> Outcome {
    let collection = Collection::of(call)?;
    let sent = sent(call, collection.one)?;
    let id = make(call, collection, &sent)?;
    collection.told(call, &id, 201)
}

/// Makes an object, and returns its id.
fn make(call: &mut Call<'_>, collection: &Collection, sent: &Shown) -> Result<String, Failure> {
    let mut made = attributes::new(collection.attributes, sent, call.caller.is_admin)?;
    let named = text(&made, "project_id").to_owned();
    let project = match named.is_empty() || named == call.caller.project {
        true => call.caller.project.clone(),
        false if call.caller.is_admin => named,
        false => {
            let message = "(rule:create) is disallowed by policy";
            return Err(Failure::of(403, "PolicyNotAuthorized", message));
        }
    };
    quotas::check(call, collection, &project)?;
    let description = made.get("description").cloned();
    made.extend(standard(&project));
    made.extend(description.map(|description| ("description".to_owned(), description)));
    let id = call.world.openstack.new_id();
    made.insert("id".into(), json!(id));
    (collection.make)(call, &mut made)?;
    call.world
        .openstack
        .put(collection.kind, &id, &project, made.clone());
    (collection.follow)(call.world, &made);
    Ok(id)
}

fn update(call: &mut Call<'_>) -> Outcome {
    let collection = Collection::of(call)?;
    let id = call.id();
    let before = collection.own(call, &id)?.shown.clone();
    let mut object = before.clone();
    let sent = sent(call, collection.one)?;
    let changed = attributes::change(collection.attributes, &sent, call.caller.is_admin)?;
    object.extend(changed);
    (collection.change)(call, &id, &mut object)?;
    touch(&mut object);
    if let Some(kept) = call.world.openstack.get_mut(collection.kind, &id) {
        kept.clone_from(&object);
    }
    for told in [before, object] {
        (collection.follow)(call.world, &told);
    }
    collection.told(call, &id, 200)
}

/// Notes that an object was changed.
fn touch(object: &mut Shown) {
    let revision = super::estate::number(object, "revision_number");
    object.insert("revision_number".into(), json!(revision + 1));
    object.insert("updated_at".into(), json!(moment(now())));
}

fn delete(call: &mut Call<'_>) -> Outcome {
    let collection = Collection::of(call)?;
    let id = call.id();
    let before = collection.own(call, &id)?.shown.clone();
    (collection.remove)(call, &id)?;
    call.world.openstack.take(collection.kind, &id);
    (collection.follow)(call.world, &before);
    Answer::empty(204)
}
