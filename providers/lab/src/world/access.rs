//! Users, tokens, roles, and who may do what where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::site::Release;

/// All that is known of users.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Access {
    pub users: BTreeMap<String, User>,
    pub roles: BTreeMap<String, BTreeSet<String>>,
    pub rules: Vec<Rule>,
    /// The secret of the token that the lab comes with.
    pub first_token: String,
    /// Which privileges there are.
    #[serde(default)]
    release: Release,
}

/// A user.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct User {
    pub password: Option<String>,
    pub settings: BTreeMap<String, String>,
    pub is_disabled: bool,
    pub tokens: BTreeMap<String, Token>,
}

/// An API token of a user.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub value: String,
    /// Whether it has rights of its own, instead of its user's.
    pub is_separate: bool,
    pub comment: Option<String>,
    pub expire: u64,
}

/// A role at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub path: String,
    /// `user` or `token`.
    pub kind: String,
    pub who: String,
    pub role: String,
    pub propagates: bool,
}

/// Who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub user: String,
    pub token: Option<String>,
}

impl Caller {
    /// Returns the name that tasks carry.
    pub(crate) fn name(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }

    /// Whether it is the superuser by ticket; a token of the superuser is not.
    pub(crate) fn is_root(&self) -> bool {
        self.user == "root@pam" && self.token.is_none()
    }
}

/// Privileges that there are, but for those of [`MORE`].
const PRIVILEGES: [&str; 41] = [
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Console",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
    "Sys.Syslog",
    "SDN.Allocate",
    "SDN.Audit",
    "SDN.Use",
    "Pool.Allocate",
    "Pool.Audit",
    "Group.Allocate",
    "Permissions.Modify",
    "User.Modify",
];

/// Privileges of realms, mappings and replication.
const MORE: [&str; 7] = [
    "Realm.Allocate",
    "Realm.AllocateUser",
    "Mapping.Audit",
    "Mapping.Modify",
    "Mapping.Use",
    "VM.Replicate",
    "Sys.Replicate",
];

impl Access {
    pub(crate) fn begin(password: String, token: String, release: Release) -> Access {
        let mut users = BTreeMap::new();
        let root = User {
            password: Some(password),
            ..User::default()
        };
        let mut dmp = User::default();
        dmp.tokens.insert(
            "lab".into(),
            Token {
                value: token.clone(),
                is_separate: true,
                comment: None,
                expire: 0,
            },
        );
        users.insert("root@pam".into(), root);
        users.insert("dmp@pve".into(), dmp);
        let rule = |kind: &str, who: &str| Rule {
            path: "/".into(),
            kind: kind.into(),
            who: who.into(),
            role: "Administrator".into(),
            propagates: true,
        };
        Access {
            users,
            roles: BTreeMap::new(),
            rules: vec![rule("user", "dmp@pve"), rule("token", "dmp@pve!lab")],
            first_token: token,
            release,
        }
    }

    /// Returns all privileges that there are.
    pub(crate) fn privileges(&self) -> impl Iterator<Item = &'static str> + use<> {
        let is_older = self.release == Release::Eight;
        let is_newer = |name: &str| name.starts_with("VM.GuestAgent.") || name == "VM.Replicate";
        let is_there = move |name: &&str| !is_older || !is_newer(name);
        let all = PRIVILEGES.into_iter().chain(MORE).filter(is_there);
        all.chain(is_older.then_some("VM.Monitor"))
    }

    /// Returns the privileges of a role, or none where there is no such role.
    pub(crate) fn role(&self, name: &str) -> Option<BTreeSet<String>> {
        if let Some(privileges) = self.roles.get(name) {
            return Some(privileges.clone());
        }
        let all = self.privileges();
        let takes = |wanted: &dyn Fn(&str) -> bool| {
            Some(all.filter(|name| wanted(name)).map(str::to_owned).collect())
        };
        let is_one = |name: &str, list: &[&str]| list.contains(&name);
        match name {
            "Administrator" => takes(&|_| true),
            "NoAccess" => takes(&|_| false),
            "PVEAdmin" => takes(&|name| {
                !is_one(
                    name,
                    &[
                        "Permissions.Modify",
                        "Sys.Modify",
                        "Sys.PowerMgmt",
                        "Sys.Incoming",
                        "Sys.AccessNetwork",
                        "Realm.Allocate",
                    ],
                )
            }),
            "PVEAuditor" => {
                takes(&|name| name.ends_with(".Audit") && name != "VM.GuestAgent.Audit")
            }
            "PVEVMAdmin" => takes(&|name| name.starts_with("VM.")),
            "PVEVMUser" => takes(&|name| {
                is_one(
                    name,
                    &[
                        "VM.Audit",
                        "VM.Backup",
                        "VM.Config.CDROM",
                        "VM.Config.Cloudinit",
                        "VM.Console",
                        "VM.GuestAgent.Audit",
                        "VM.PowerMgmt",
                    ],
                )
            }),
            "PVETemplateUser" => takes(&|name| is_one(name, &["VM.Audit", "VM.Clone"])),
            "PVEDatastoreAdmin" => takes(&|name| name.starts_with("Datastore.")),
            "PVEDatastoreUser" => {
                takes(&|name| is_one(name, &["Datastore.AllocateSpace", "Datastore.Audit"]))
            }
            "PVEPoolAdmin" => takes(&|name| name.starts_with("Pool.")),
            "PVEPoolUser" => takes(&|name| name == "Pool.Audit"),
            "PVESDNAdmin" => takes(&|name| name.starts_with("SDN.")),
            "PVESDNUser" => takes(&|name| is_one(name, &["SDN.Audit", "SDN.Use"])),
            "PVESysAdmin" => {
                takes(&|name| is_one(name, &["Sys.Audit", "Sys.Console", "Sys.Syslog"]))
            }
            "PVEUserAdmin" => takes(&|name| {
                is_one(
                    name,
                    &["Group.Allocate", "Realm.AllocateUser", "User.Modify"],
                )
            }),
            _ => None,
        }
    }

    /// Returns the names of the roles that are built in.
    pub(crate) fn built_in_roles() -> [&'static str; 15] {
        [
            "Administrator",
            "NoAccess",
            "PVEAdmin",
            "PVEAuditor",
            "PVEDatastoreAdmin",
            "PVEDatastoreUser",
            "PVEPoolAdmin",
            "PVEPoolUser",
            "PVESDNAdmin",
            "PVESDNUser",
            "PVESysAdmin",
            "PVETemplateUser",
            "PVEUserAdmin",
            "PVEVMAdmin",
            "PVEVMUser",
        ]
    }

    /// Returns what a caller may do at a path; `pool` is the pool of the guest or storage there.
    pub(crate) fn rights(
        &self,
        caller: &Caller,
        path: &str,
        pool: Option<&str>,
    ) -> BTreeSet<String> {
        if caller.is_root() {
            return self.privileges().map(str::to_owned).collect();
        }
        let pool_path = pool.map(|pool| format!("/pool/{pool}"));
        let of = |kind: &str, who: &str| {
            let mut rights = self.at(kind, who, path);
            if let Some(path) = &pool_path {
                rights.extend(self.at(kind, who, path));
            }
            rights
        };
        let users = if caller.user == "root@pam" {
            self.privileges().map(str::to_owned).collect()
        } else {
            of("user", &caller.user)
        };
        let Some(token) = &caller.token else {
            return users;
        };
        let is_separate = self
            .users
            .get(&caller.user)
            .and_then(|user| user.tokens.get(token))
            .is_none_or(|token| token.is_separate);
        if is_separate {
            let tokens = of("token", &caller.name());
            tokens.intersection(&users).cloned().collect()
        } else {
            users
        }
    }

    /// Returns what the rules for one give at a path: those of the longest path that has any.
    fn at(&self, kind: &str, who: &str, path: &str) -> BTreeSet<String> {
        let reaches = |rule: &&Rule| {
            rule.kind == kind
                && rule.who == who
                && (rule.path == path
                    || rule.propagates
                        && (rule.path == "/" || path.starts_with(&format!("{}/", rule.path))))
        };
        let rules: Vec<_> = self.rules.iter().filter(reaches).collect();
        let depth = |path: &str| {
            if path == "/" {
                0
            } else {
                path.matches('/').count()
            }
        };
        let Some(deepest) = rules.iter().map(|rule| depth(&rule.path)).max() else {
            return BTreeSet::new();
        };
        let nearest = rules.iter().filter(|rule| depth(&rule.path) == deepest);
        if nearest.clone().any(|rule| rule.role == "NoAccess") {
            return BTreeSet::new();
        }
        nearest
            .filter_map(|rule| self.role(&rule.role))
            .flatten()
            .collect()
    }
}
