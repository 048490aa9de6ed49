//! The catalog: which service is where. Its entries are chosen by type, interface and region, and brought into one form.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value as Json;

use super::error::ApiError;

/// The services that dmp talks to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum Service {
    /// Keystone, below the user who has logged in.
    Identity,
    /// Nova.
    Compute,
    /// Neutron.
    Network,
    /// Cinder.
    BlockStorage,
    /// Glance.
    Image,
    /// Designate.
    Dns,
    /// Octavia.
    LoadBalancer,
    /// Swift, below the account of the project.
    ObjectStore,
    /// Manila.
    Share,
}

impl Service {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Identity,
        Self::Compute,
        Self::Network,
        Self::BlockStorage,
        Self::Image,
        Self::Dns,
        Self::LoadBalancer,
        Self::ObjectStore,
        Self::Share,
    ];

    /// The types under which a catalog has it, the present one first.
    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Compute => &["compute"],
            Self::Network => &["network"],
            Self::BlockStorage => &["block-storage", "volumev3", "block-store", "volume"],
            Self::Image => &["image"],
            Self::Dns => &["dns"],
            Self::LoadBalancer => &["load-balancer"],
            Self::ObjectStore => &["object-store"],
            Self::Share => &["shared-file-system", "sharev2"],
        }
    }

    /// How settings of it are named in `clouds.yaml`.
    pub(crate) fn setting_names(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Compute => &["compute"],
            Self::Network => &["network"],
            Self::BlockStorage => &["block_storage", "volumev3", "volume"],
            Self::Image => &["image"],
            Self::Dns => &["dns"],
            Self::LoadBalancer => &["load_balancer"],
            Self::ObjectStore => &["object_store"],
            Self::Share => &["shared_file_system", "sharev2"],
        }
    }

    /// The header that asks for a microversion: its name, and its value.
    pub(super) fn version_header(self, version: Version) -> (&'static str, String) {
        match self {
            // Manila has a header of its own, as all had once.
            Self::Share => ("X-OpenStack-Manila-API-Version", version.to_string()),
            Self::BlockStorage => ("OpenStack-API-Version", format!("volume {version}")),
            _ => ("OpenStack-API-Version", format!("{self} {version}")),
        }
    }

    /// The oldest and the newest microversion that dmp speaks; `None`: the service has none.
    pub(super) fn microversions(self) -> Option<(Version, Version)> {
        match self {
            // 2.60: a volume on several servers (Queens). 2.90: a host name of its own.
            Self::Compute => Some((Version(2, 60), Version(2, 90))),
            // 3.44: volumes that are in use grow (3.42), attachments (Queens).
            Self::BlockStorage => Some((Version(3, 44), Version(3, 68))),
            // 2.45: rules of access are read on their own (Rocky). 2.65: where a share shall lie.
            Self::Share => Some((Version(2, 45), Version(2, 65))),
            Self::Identity
            | Self::Network
            | Self::Image
            | Self::Dns
            | Self::LoadBalancer
            | Self::ObjectStore => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.types()[0])
    }
}

/// A microversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub u32, pub u32);

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim_start_matches('v').split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// One address of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    kind: String,
    interface: String,
    region: String,
    url: String,
}

/// All addresses of a catalog.
#[derive(Debug, Default)]
pub(super) struct Catalog(Vec<Entry>);

impl Catalog {
    /// Reads the catalog of a token.
    pub(super) fn of(json: &Json) -> Self {
        let mut entries = Vec::new();
        for service in json.as_array().into_iter().flatten() {
            let endpoints = service["endpoints"].as_array();
            for endpoint in endpoints.into_iter().flatten() {
                let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
                let region = endpoint["region_id"]
                    .as_str()
                    .or(endpoint["region"].as_str());
                entries.push(Entry {
                    kind: text(&service["type"]),
                    interface: text(&endpoint["interface"])
                        .trim_end_matches("URL")
                        .to_owned(),
                    region: region.unwrap_or_default().to_owned(),
                    url: text(&endpoint["url"]),
                });
            }
        }
        Self(entries)
    }

    /// The address of a service.
    pub(super) fn find(
        &self,
        service: Service,
        interface: &str,
        region: Option<&str>,
    ) -> Result<&str, ApiError> {
        let mut of_service = service.types().iter().filter_map(|kind| {
            let entries: Vec<&Entry> = self.0.iter().filter(|entry| entry.kind == *kind).collect();
            (!entries.is_empty()).then_some(entries)
        });
        let Some(entries) = of_service.next() else {
            return Err(ApiError::NotOffered(format!(
                "the catalog has no service of the type `{service}`"
            )));
        };
        let in_region: Vec<&Entry> = entries
            .iter()
            .copied()
            .filter(|entry| region.is_none_or(|region| entry.region == region))
            .collect();
        let regions: BTreeSet<&str> = entries.iter().map(|entry| entry.region.as_str()).collect();
        let regions = regions.into_iter().collect::<Vec<_>>().join("`, `");
        if in_region.is_empty() {
            return Err(ApiError::NotOffered(format!(
                "the catalog has `{service}` not in the region `{}`, but in `{regions}`",
                region.unwrap_or_default()
            )));
        }
        let found: Vec<&Entry> = in_region
            .iter()
            .copied()
            .filter(|entry| entry.interface == interface)
            .collect();
        match found.as_slice() {
            [] => {
                let others: BTreeSet<&str> = in_region
                    .iter()
                    .map(|entry| entry.interface.as_str())
                    .collect();
                Err(ApiError::NotOffered(format!(
                    "the catalog has no `{interface}` address of `{service}`, but: {}",
                    others.into_iter().collect::<Vec<_>>().join(", ")
                )))
            }
            [one] => Ok(&one.url),
            [first, others @ ..] => {
                if others.iter().any(|other| other.region != first.region) {
                    return Err(ApiError::NotOffered(format!(
                        "the cloud has several regions, and none is named: `{regions}`"
                    )));
                }
                Ok(&first.url)
            }
        }
    }
}

/// The base of a service's paths, and where its versions are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub paths: String,
    pub versions: String,
}

/// Brings the address of a service into the form that its paths begin with, for a user and a project. Clouds write them with and
/// without version and project.
pub(super) fn base(
    service: Service,
    url: &str,
    user: &str,
    project: Option<&str>,
) -> Result<Base, ApiError> {
    let url = url.trim_end_matches('/');
    let wrong =
        |why: &str| ApiError::NotOffered(format!("the address of `{service}`, `{url}`, {why}"));
    let (segment, others): (&str, &[&str]) = match service {
        // The account is the address.
        Service::ObjectStore => {
            return Ok(Base {
                paths: url.to_owned(),
                versions: url.to_owned(),
            });
        }
        Service::Identity => ("v3", &["v2.0"]),
        Service::Compute => ("v2.1", &["v2"]),
        Service::Network => ("v2.0", &[]),
        Service::BlockStorage => ("v3", &["v1", "v2"]),
        Service::Image | Service::Dns => ("v2", &["v1"]),
        Service::LoadBalancer => ("v2", &["v1", "v1.0"]),
        Service::Share => ("v2", &["v1"]),
    };
    let path_at = url.find("://").map_or(0, |at| at + 3);
    let segments: Vec<&str> = url[path_at..].split('/').collect();
    let position = segments.iter().skip(1).position(|part| *part == segment);
    let root = match position {
        Some(position) => {
            let kept = &segments[..=position + 1];
            format!("{}{}", &url[..path_at], kept.join("/"))
        }
        None => {
            if let Some(other) = segments.iter().skip(1).find(|part| others.contains(part)) {
                // Nova has its old and its new interface side by side.
                return match service {
                    Service::Compute => {
                        let at = url.rfind(&format!("/{other}")).unwrap_or(url.len());
                        base(service, &format!("{}/{segment}", &url[..at]), user, project)
                    }
                    _ => Err(wrong("is that of an old version")),
                };
            }
            format!("{url}/{segment}")
        }
    };
    let paths = match service {
        Service::Identity => format!("{root}/users/{user}"),
        Service::BlockStorage | Service::Share => {
            match position.and_then(|position| segments.get(position + 2)) {
                Some(project) => format!("{root}/{project}"),
                None => {
                    let project = project.ok_or_else(|| wrong("needs a token for a project"))?;
                    format!("{root}/{project}")
                }
            }
        }
        _ => root.clone(),
    };
    Ok(Base {
        paths,
        versions: format!("{root}/"),
    })
}

/// The microversion that is spoken, of what a service offers.
pub(super) fn negotiate(
    service: Service,
    least: Version,
    most: Version,
) -> Result<Option<Version>, ApiError> {
    let Some((oldest, newest)) = service.microversions() else {
        return Ok(None);
    };
    if most < oldest {
        return Err(ApiError::NotOffered(format!(
            "`{service}` of this cloud is too old: it speaks up to {most}, and dmp needs {oldest}"
        )));
    }
    if least > newest {
        return Err(ApiError::NotOffered(format!(
            "`{service}` of this cloud is too new: it speaks {least} and later, and dmp up to {newest}"
        )));
    }
    Ok(Some(newest.min(most)))
}

/// The versions that a service's own document tells of: the oldest and the newest microversion.
pub(super) fn offered(document: &Json, major: u32) -> Option<(Version, Version)> {
    let listed = document["versions"].as_array().into_iter().flatten();
    let all = listed.chain(document.get("version"));
    let mut ours = all.filter(|version| {
        let id = version["id"].as_str().and_then(Version::parse);
        id.is_some_and(|id| id.0 == major)
            && version["version"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
    });
    let version = ours.next()?;
    let read = |name: &str| Version::parse(version[name].as_str()?);
    let newest = read("version")?;
    Some((read("min_version").unwrap_or(newest), newest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalog() -> Catalog {
        let endpoint = |interface: &str, region: &str, url: &str| json!({ "interface": interface, "region_id": region, "region": region, "url": url });
        Catalog::of(&json!([
            { "type": "compute", "endpoints": [
                endpoint("public", "A", "https://a"), endpoint("internal", "A", "https://int.a"),
                endpoint("public", "B", "https://b"),
            ] },
            { "type": "volumev3", "endpoints": [endpoint("public", "A", "https://v3")] },
            { "type": "volume", "endpoints": [endpoint("public", "A", "https://v1")] },
        ]))
    }

    #[test]
    fn an_address_is_chosen_by_type_interface_and_region() {
        let catalog = catalog();
        let find = |service, interface, region| catalog.find(service, interface, region);
        assert_eq!(
            find(Service::Compute, "public", Some("B")).expect("one"),
            "https://b"
        );
        assert_eq!(
            find(Service::Compute, "internal", Some("A")).expect("one"),
            "https://int.a"
        );
        assert_eq!(
            find(Service::BlockStorage, "public", None).expect("one"),
            "https://v3"
        );
        let why = |service, interface, region| {
            find(service, interface, region)
                .expect_err("none")
                .to_string()
        };
        assert!(why(Service::Compute, "public", None).contains("several regions"));
        assert!(why(Service::Compute, "public", Some("C")).contains("`A`, `B`"));
        assert!(why(Service::Compute, "internal", Some("B")).contains("but: public"));
        assert!(why(Service::Network, "public", None).contains("no service"));
    }

    #[test]
    fn addresses_are_brought_into_one_form() {
        let paths = |service, url| base(service, url, "u", Some("p")).map(|base| base.paths);
        for (service, url, wanted) in [
            (Service::Compute, "http://a:8774/v2.1", "http://a:8774/v2.1"),
            (
                Service::Compute,
                "http://a:8774/v2.1/",
                "http://a:8774/v2.1",
            ),
            (
                Service::Compute,
                "http://a/compute/v2.1/p",
                "http://a/compute/v2.1",
            ),
            (
                Service::Compute,
                "http://a/compute",
                "http://a/compute/v2.1",
            ),
            (Service::Compute, "http://a:8774/v2/p", "http://a:8774/v2.1"),
            (Service::Network, "http://a:9696", "http://a:9696/v2.0"),
            (
                Service::Network,
                "http://a/networking/v2.0/",
                "http://a/networking/v2.0",
            ),
            (
                Service::BlockStorage,
                "http://a:8776/v3/p",
                "http://a:8776/v3/p",
            ),
            (
                Service::BlockStorage,
                "http://a:8776/v3",
                "http://a:8776/v3/p",
            ),
            (
                Service::BlockStorage,
                "http://a/volume",
                "http://a/volume/v3/p",
            ),
            (Service::Image, "http://a:9292", "http://a:9292/v2"),
            (
                Service::Identity,
                "http://a:5000",
                "http://a:5000/v3/users/u",
            ),
            (
                Service::Identity,
                "http://a/identity/v3/",
                "http://a/identity/v3/users/u",
            ),
            (
                Service::Image,
                "http://v2.example/image/v2",
                "http://v2.example/image/v2",
            ),
            (Service::Dns, "http://a:9001/", "http://a:9001/v2"),
            (
                Service::LoadBalancer,
                "http://a/load-balancer",
                "http://a/load-balancer/v2",
            ),
            (
                Service::ObjectStore,
                "http://a:8080/v1/AUTH_p",
                "http://a:8080/v1/AUTH_p",
            ),
            (Service::Share, "http://a:8786/v2", "http://a:8786/v2/p"),
        ] {
            assert_eq!(paths(service, url).expect("an address"), wanted, "{url}");
        }
        assert!(paths(Service::BlockStorage, "http://a/v2/p").is_err());
        assert!(base(Service::BlockStorage, "http://a/v3", "u", None).is_err());
        let versions = base(Service::BlockStorage, "http://a/v3/p", "u", None)
            .expect("an address")
            .versions;
        assert_eq!(versions, "http://a/v3/");
    }

    #[test]
    fn the_newest_version_that_both_speak_is_taken() {
        let nova = json!({ "version": { "id": "v2.1", "version": "2.79", "min_version": "2.1" } });
        let (least, most) = offered(&nova, 2).expect("versions");
        assert_eq!(
            negotiate(Service::Compute, least, most).expect("one"),
            Some(Version(2, 79))
        );
        let cinder = json!({ "versions": [
            { "id": "v2.0", "version": "" }, { "id": "v3.0", "version": "3.71", "min_version": "3.0" },
        ] });
        let (least, most) = offered(&cinder, 3).expect("versions");
        assert_eq!(
            negotiate(Service::BlockStorage, least, most).expect("one"),
            Some(Version(3, 68))
        );
        let old = negotiate(Service::Compute, Version(2, 1), Version(2, 42)).expect_err("too old");
        assert!(old.to_string().contains("2.42") && old.to_string().contains("2.60"));
        assert_eq!(
            negotiate(Service::Network, Version(2, 0), Version(2, 0)).expect("none"),
            None
        );
    }
}
