//! Which versions there are: the documents that tell of them, which nobody needs a token for, and the version that a call asks
//! for in its header.

use hyper::HeaderMap;
use serde_json::{Value, json};

use super::failure::Failure;
use super::{Service, Version};

/// The oldest and the newest version of Nova: 2.90 has all that is modelled here.
const COMPUTE: (Version, Version) = (Version(2, 1), Version(2, 90));

/// Those of Cinder.
const BLOCK_STORAGE: (Version, Version) = (Version(3, 0), Version(3, 68));

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Service {
    /// Returns the oldest and the newest version, and what the header calls the service.
    fn micro(self) -> Option<(Version, Version, &'static str)> {
        match self {
            Service::Compute => Some((COMPUTE.0, COMPUTE.1, "compute")),
            Service::BlockStorage => Some((BLOCK_STORAGE.0, BLOCK_STORAGE.1, "volume")),
            Service::Identity | Service::Network | Service::Image => None,
        }
    }

    /// Returns the version of a call, by its headers.
    ///
    /// # Errors
    /// 400 for what is no version, 406 for one that there is not.
    pub(super) fn version(self, headers: &HeaderMap) -> Result<Version, Failure> {
        let Some((least, most, name)) = self.micro() else {
            return Ok(Version(0, u32::MAX));
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let own = header("openstack-api-version").and_then(|text| {
            let mut parts = text.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix(' '))
        });
        let old = header("x-openstack-nova-api-version").filter(|_| self == Service::Compute);
        let Some(text) = own.or(old).map(str::trim) else {
            return Ok(least);
        };
        if text == "latest" {
            return Ok(most);
        }
        let Some(wanted) = Version::parse(text) else {
            return Err(Failure::bad(format!(
                "API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum."
            )));
        };
        match (least..=most).contains(&wanted) {
            true => Ok(wanted),
            false => Err(Failure::of(
                406,
                "HTTPNotAcceptable",
                format!(
                    "Version {wanted} is not supported by the API. Minimum is {least} and maximum is {most}."
                ),
            )),
        }
    }

    /// Returns the headers that say which version has answered.
    pub(super) fn version_headers(self, version: Version) -> Vec<(&'static str, String)> {
        let Some((_, _, name)) = self.micro() else {
            return Vec::new();
        };
        let mut headers = vec![
            ("openstack-api-version", format!("{name} {version}")),
            ("vary", "OpenStack-API-Version".to_owned()),
        ];
        if self == Service::Compute {
            headers.push(("x-openstack-nova-api-version", version.to_string()));
        }
        headers
    }

    /// Returns the document of versions at a path below the service, with its status; none where there is no such document.
    pub(super) fn document(self, base: &str, path: &str) -> Option<(u16, Value)> {
        let path = path.trim_matches('/');
        let itself = |below: &str| json!({ "rel": "self", "href": format!("{base}/{}/{below}", self.prefix()) });
        let at = |below: &str| json!([itself(below)]);
        let micro = |id: &str, below: &str| {
            let (least, most, name) = self.micro()?;
            let described = json!({ "rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/" });
            let version = id.trim_start_matches('v');
            let media = format!("application/vnd.openstack.{name}+json;version={version}");
            Some(json!({
                "id": id, "status": "CURRENT", "version": most.to_string(), "min_version": least.to_string(),
                "updated": "2022-10-05T00:00:00Z", "links": [itself(below), described],
                "media-types": [{ "base": "application/json", "type": media }],
            }))
        };
        let plain = |id: &str, status: &str, below: &str| json!({ "id": id, "status": status, "updated": "2022-10-05T00:00:00Z", "links": at(below), "media-types": [] });
        match (self, path) {
            (Service::Identity, "") => {
                let versions =
                    json!({ "versions": { "values": [plain("v3.14", "stable", "v3/")] } });
                Some((300, versions))
            }
            (Service::Identity, "v3") => {
                Some((200, json!({ "version": plain("v3.14", "stable", "v3/") })))
            }
            (Service::Compute, "") => Some((200, json!({ "versions": [micro("v2.1", "v2.1/")?] }))),
            (Service::Compute, "v2.1") => {
                Some((200, json!({ "version": micro("v2.1", "v2.1/")? })))
            }
            (Service::Network, "") => Some((
                200,
                json!({ "versions": [plain("v2.0", "CURRENT", "v2.0/")] }),
            )),
            (Service::Network, "v2.0") => Some((200, json!({ "resources": [] }))),
            (Service::BlockStorage, "") => {
                Some((300, json!({ "versions": [micro("v3.0", "v3/")?] })))
            }
            (Service::BlockStorage, "v3") => {
                Some((200, json!({ "versions": [micro("v3.0", "v3/")?] })))
            }
            (Service::Image, "" | "versions") => {
                let versions = [
                    plain("v2.15", "CURRENT", "v2/"),
                    plain("v2.0", "SUPPORTED", "v2/"),
                ];
                Some((
                    if path.is_empty() { 300 } else { 200 },
                    json!({ "versions": versions }),
                ))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(service: Service, name: &'static str, value: &str) -> Result<Version, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().expect("a header"));
        service.version(&headers).map_err(|failure| failure.status)
    }

    #[test]
    fn a_call_is_of_the_version_that_it_asks_for() {
        let name = "openstack-api-version";
        assert_eq!(
            asked(Service::Compute, name, "compute 2.60"),
            Ok(Version(2, 60))
        );
        assert_eq!(
            asked(Service::Compute, name, "volume 3.60"),
            Ok(Version(2, 1))
        );
        assert_eq!(
            asked(Service::BlockStorage, name, "compute 2.60, volume 3.60"),
            Ok(Version(3, 60))
        );
        assert_eq!(
            asked(Service::Compute, name, "compute latest"),
            Ok(Version(2, 90))
        );
        assert_eq!(asked(Service::Compute, name, "compute 2.200"), Err(406));
        assert_eq!(asked(Service::Compute, name, "compute two"), Err(400));
        assert_eq!(
            asked(Service::Compute, "x-openstack-nova-api-version", "2.3"),
            Ok(Version(2, 3))
        );
        assert!(asked(Service::Network, name, "compute 2.60").is_ok());
    }
}
