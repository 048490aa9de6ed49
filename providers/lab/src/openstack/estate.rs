//! All that the OpenStack of a lab holds. Networks, volumes, images and the like are kept as their service shows them; servers,
//! of which much is not shown, have a type of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::nova::Server;
use super::site::OpenStackSite;
use super::steps::Step;
use crate::Trouble;
use crate::world::draw::Draw;
use crate::world::table::{Cell, Table};

/// An object as its service shows it.
pub(crate) type Shown = Map<String, Value>;

/// All of it.
#[derive(Debug)]
pub(crate) struct Estate {
    pub ground: Cell<Ground>,
    pub objects: Table<Key, Object>,
    pub servers: Table<String, Server>,
}

/// Everything but what calls make.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ground {
    pub site: OpenStackSite,
    pub draw: Draw,
    pub logins: Logins,
    /// Tokens that were given back before their end, with it: seconds since 1970.
    pub revoked: BTreeMap<String, u64>,
    /// What goes on by itself.
    pub steps: Vec<Step>,
    /// Where it listens, so that a lab that is taken up again is found at the same place.
    pub listen: Option<SocketAddr>,
    /// How many objects were made.
    made: u64,
    /// The number of the last server's machine.
    vmid: u32,
}

/// Who there is, and by what they log in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Logins {
    /// The key that tokens are signed with.
    pub key: String,
    pub domain: String,
    pub member: Login,
    pub admin: Login,
    pub credential: String,
    pub credential_secret: String,
}

/// A user, with the only project that it is in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Login {
    pub user: String,
    pub name: String,
    pub password: String,
    pub project: String,
    pub roles: Vec<String>,
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    FloatingIp,
    Image,
    Keypair,
    Network,
    Port,
    Router,
    Rule,
    SecurityGroup,
    ServerGroup,
    Snapshot,
    Subnet,
    Volume,
}

impl Kind {
    const ALL: [(Kind, &'static str); 12] = [
        (Kind::FloatingIp, "floating-ip"),
        (Kind::Image, "image"),
        (Kind::Keypair, "keypair"),
        (Kind::Network, "network"),
        (Kind::Port, "port"),
        (Kind::Router, "router"),
        (Kind::Rule, "rule"),
        (Kind::SecurityGroup, "security-group"),
        (Kind::ServerGroup, "server-group"),
        (Kind::Snapshot, "snapshot"),
        (Kind::Subnet, "subnet"),
        (Kind::Volume, "volume"),
    ];
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub kind: Kind,
    pub id: String,
}

impl Key {
    pub(crate) fn of(kind: Kind, id: &str) -> Key {
        Key {
            kind,
            id: id.to_owned(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Kind::ALL.iter().find(|(kind, _)| *kind == self.kind);
        write!(f, "{}/{}", named.map_or("", |(_, name)| name), self.id)
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Key, String> {
        let (name, id) = text.split_once('/').ok_or("no kind")?;
        let found = Kind::ALL.iter().find(|(_, known)| *known == name);
        let (kind, _) = found.ok_or("an unknown kind")?;
        Ok(Key::of(*kind, id))
    }
}

/// An object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    /// How many were made before it.
    pub number: u64,
    /// The project that it is in.
    pub project: String,
    pub shown: Shown,
}

impl Ground {
    /// Begins one.
    pub(crate) fn begin(site: OpenStackSite, seed: u64) -> Result<Ground, Trouble> {
        // What Proxmox VE draws of the same seed stays as it is.
        let mut draw = Draw::new(seed ^ 0x0005_7ACC);
        let logins = Logins::begin(&mut draw)?;
        Ok(Ground::with(site, draw, logins))
    }

    fn with(site: OpenStackSite, draw: Draw, logins: Logins) -> Ground {
        Ground {
            site,
            draw,
            logins,
            revoked: BTreeMap::new(),
            steps: Vec::new(),
            listen: None,
            made: 0,
            vmid: FIRST_VMID,
        }
    }

    /// Returns what remains when all that was made is thrown away.
    fn again(&self, seed: u64) -> Ground {
        let mut draw = Draw::new(seed ^ 0x0005_7ACC);
        // The same numbers are drawn for the users as the first time.
        let drawn = (0..DRAWN_FOR_LOGINS).map(|_| draw.uuid());
        drawn.for_each(drop);
        let mut ground = Ground::with(self.site.clone(), draw, self.logins.clone());
        ground.listen = self.listen;
        ground
    }

    /// Returns the number of a new machine.
    pub(super) fn next_vmid(&mut self) -> u32 {
        self.vmid += 1;
        self.vmid
    }

    /// Returns a new MAC address, of the range that Neutron has.
    pub(super) fn mac(&mut self) -> String {
        let bytes = self.draw.number().to_be_bytes();
        format!(
            "fa:16:3e:{:02x}:{:02x}:{:02x}",
            bytes[5], bytes[6], bytes[7]
        )
    }
}

/// The number of the first server's machine among the guests; those that Proxmox VE's clients choose are below.
const FIRST_VMID: u32 = 800_000;

/// How many ids `Logins::begin` draws.
const DRAWN_FOR_LOGINS: usize = 5;

impl Logins {
    fn begin(draw: &mut Draw) -> Result<Logins, Trouble> {
        // Ids of Keystone have no dashes.
        let mut id = || draw.uuid().replace('-', "");
        let mut login = |name: &str, roles: &[&str]| -> Result<Login, Trouble> {
            Ok(Login {
                user: id(),
                name: name.to_owned(),
                password: crate::secret(12)?,
                project: id(),
                roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            })
        };
        let member = login("lab", &["member", "reader"])?;
        let admin = login("admin", &["admin", "member", "reader"])?;
        Ok(Logins {
            key: crate::secret(32)?,
            domain: "default".into(),
            member,
            admin,
            credential: id(),
            credential_secret: crate::secret(24)?,
        })
    }

    /// Returns the users.
    pub(super) fn all(&self) -> [&Login; 2] {
        [&self.member, &self.admin]
    }
}

impl Estate {
    /// Returns one as it begins.
    pub(crate) fn begin(site: OpenStackSite, seed: u64) -> Result<Estate, Trouble> {
        Ok(Estate {
            ground: Cell::new(Ground::begin(site, seed)?),
            objects: Table::new(BTreeMap::new()),
            servers: Table::new(BTreeMap::new()),
        })
    }

    /// Throws away all that was made; who logs in by what stays.
    pub(crate) fn reset(&mut self, seed: u64, files: &Path) {
        let keys: Vec<Key> = self.objects.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            if key.kind == Kind::Image {
                super::glance::forget(files, &key.id);
            }
            self.objects.remove(&key);
        }
        let ids: Vec<String> = self.servers.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.servers.remove(&id);
        }
        let again = self.ground.again(seed);
        *self.ground = again;
        super::beginning::fill(self);
    }

    pub(super) fn server(&self, id: &str) -> Option<&Server> {
        self.servers.get(&id.to_owned())
    }

    /// Returns a server to be changed.
    pub(super) fn server_mut(&mut self, id: &str) -> Option<&mut Server> {
        self.servers.get_mut(&id.to_owned())
    }

    /// Returns an object as it is shown.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<&Shown> {
        Some(&self.object(kind, id)?.shown)
    }

    pub(super) fn object(&self, kind: Kind, id: &str) -> Option<&Object> {
        self.objects.get(&Key::of(kind, id))
    }

    /// Returns an object to be changed.
    pub(super) fn get_mut(&mut self, kind: Kind, id: &str) -> Option<&mut Shown> {
        Some(&mut self.objects.get_mut(&Key::of(kind, id))?.shown)
    }

    /// Sets one member of an object.
    pub(super) fn set(&mut self, kind: Kind, id: &str, member: &str, value: impl Into<Value>) {
        if let Some(shown) = self.get_mut(kind, id) {
            shown.insert(member.to_owned(), value.into());
        }
    }

    /// Returns all objects of a kind, the oldest first.
    pub(super) fn all(&self, kind: Kind) -> Vec<(&str, &Object)> {
        let of_kind = self.objects.iter().filter(|(key, _)| key.kind == kind);
        let mut all: Vec<_> = of_kind
            .map(|(key, object)| (key.id.as_str(), object))
            .collect();
        all.sort_by_key(|(_, object)| object.number);
        all
    }

    /// Returns the ids of the objects of a kind that a member has a value in.
    pub(super) fn having(&self, kind: Kind, member: &str, value: &str) -> Vec<String> {
        let all = self.all(kind).into_iter();
        let having = all.filter(|(_, object)| text(&object.shown, member) == value);
        having.map(|(id, _)| id.to_owned()).collect()
    }

    /// Returns how many objects of a kind a project has.
    pub(super) fn count(&self, kind: Kind, project: &str) -> i64 {
        let of_project = self
            .objects
            .iter()
            .filter(|(key, object)| key.kind == kind && object.project == project);
        i64::try_from(of_project.count()).unwrap_or(i64::MAX)
    }

    pub(super) fn put(&mut self, kind: Kind, id: &str, project: &str, shown: Shown) {
        let number = self.next_number();
        let project = project.to_owned();
        let object = Object {
            number,
            project,
            shown,
        };
        self.objects.insert(Key::of(kind, id), object);
    }

    pub(super) fn take(&mut self, kind: Kind, id: &str) -> Option<Object> {
        self.objects.remove(&Key::of(kind, id))
    }

    /// Returns the number of a new object.
    pub(super) fn next_number(&mut self) -> u64 {
        self.ground.made += 1;
        self.ground.made
    }

    pub(super) fn new_id(&mut self) -> String {
        self.ground.draw.uuid()
    }
}

/// Returns a text of an object; empty where there is none.
pub(super) fn text<'a>(shown: &'a Shown, member: &str) -> &'a str {
    shown
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns a list of an object; empty where there is none.
pub(super) fn list<'a>(shown: &'a Shown, member: &str) -> &'a [Value] {
    let list = shown.get(member).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Returns a number of an object; 0 where there is none.
pub(super) fn number(shown: &Shown, member: &str) -> i64 {
    shown.get(member).and_then(Value::as_i64).unwrap_or(0)
}

/// Returns the members of a JSON object.
pub(super) fn shown(value: Value) -> Shown {
    match value {
        Value::Object(members) => members,
        other => Shown::from_iter([("value".to_owned(), json!(other))]),
    }
}

/// Returns a moment, in milliseconds since 1970, as most services write it: `2026-01-01T00:00:00Z`.
pub(super) fn moment(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(0);
    let moment = OffsetDateTime::from_unix_timestamp(seconds);
    let text = moment.ok().and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

/// Returns a moment as Cinder writes it, and with a `Z` behind it Keystone.
pub(super) fn fine_moment(milliseconds: u64) -> String {
    let text = moment(milliseconds);
    format!(
        "{}.{:03}000",
        text.trim_end_matches('Z'),
        milliseconds % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_thrown_away_leaves_the_logins() {
        let mut estate = Estate::begin(OpenStackSite::default(), 7).expect("an estate");
        super::super::beginning::fill(&mut estate);
        let (password, first) = (estate.ground.logins.member.password.clone(), ids(&estate));
        let network = estate.new_id();
        let project = estate.ground.logins.member.project.clone();
        estate.put(Kind::Network, &network, &project, Shown::new());

        estate.reset(7, Path::new("/nonexistent"));

        assert_eq!(estate.ground.logins.member.password, password);
        assert_eq!(ids(&estate), first, "the same is there again");
    }

    fn ids(estate: &Estate) -> Vec<String> {
        estate
            .objects
            .iter()
            .map(|(key, _)| key.to_string())
            .collect()
    }

    #[test]
    fn moments_are_written_as_each_service_does() {
        assert_eq!(moment(1_767_225_600_250), "2026-01-01T00:00:00Z");
        assert_eq!(fine_moment(1_767_225_600_250), "2026-01-01T00:00:00.250000");
    }
}
