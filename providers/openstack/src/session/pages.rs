//! Listings of many pages. The next one is asked for by the marker that its link has, at the address that we know; a listing
//! that shows the same marker again does not end, and is not believed.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::{ApiError, Service, Session};

/// A listing: where it is, and under which name its items stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Listing {
    /// The service.
    pub service: Service,
    /// The path, with a query if there is one.
    pub path: String,
    /// The member of the answer that has the items.
    pub key: String,
}

impl Listing {
    /// A listing.
    pub(crate) fn of(service: Service, path: &str, key: &str) -> Self {
        Self {
            service,
            path: path.to_owned(),
            key: key.to_owned(),
        }
    }
}

impl Session {
    /// All items of a listing.
    pub(crate) async fn list(&self, listing: &Listing) -> Result<Vec<Json>, ApiError> {
        let mut attempts = 0;
        loop {
            match self.pages(listing).await {
                // What the marker stood for has gone meanwhile.
                Err(ApiError::Refused(refusal))
                    if attempts < MOST_ATTEMPTS
                        && matches!(refusal.status, 400 | 404)
                        && refusal.says(&["marker"]) =>
                {
                    attempts += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn pages(&self, listing: &Listing) -> Result<Vec<Json>, ApiError> {
        let mut items = Vec::new();
        let mut seen = HashSet::new();
        let mut marker: Option<String> = None;
        loop {
            let mut path = listing.path.clone();
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&format!("limit={PAGE}"));
            // Manila counts, and takes no marker.
            if listing.service == Service::Share && !items.is_empty() {
                path.push_str(&format!("&offset={}", items.len()));
            }
            if let Some(marker) = &marker {
                path.push_str("&marker=");
                path.push_str(&crate::values::segment(marker));
            }
            let mut answer = self.get(listing.service, &path).await?;
            let Json::Array(page) = answer[&listing.key].take() else {
                return Err(ApiError::NotUnderstood(format!(
                    "`{}` has no list `{}`",
                    listing.path, listing.key
                )));
            };
            let is_empty = page.is_empty();
            let is_whole = page.len() >= PAGE;
            items.extend(page);
            if listing.service == Service::Share {
                match is_whole {
                    true => continue,
                    false => return Ok(items),
                }
            }
            let Some(next) = next_marker(&answer, &listing.key).filter(|_| !is_empty) else {
                return Ok(items);
            };
            if !seen.insert(next.clone()) {
                return Err(ApiError::NotUnderstood(format!(
                    "the listing `{}` shows the same page again and does not end",
                    listing.path
                )));
            }
            marker = Some(next);
        }
    }
}

/// The marker of the page that follows.
fn next_marker(answer: &Json, key: &str) -> Option<String> {
    let links = answer[format!("{key}_links")].as_array();
    let linked = links
        .into_iter()
        .flatten()
        .find(|link| link["rel"] == "next")
        .and_then(|link| link["href"].as_str());
    let link = linked
        .or_else(|| answer["next"].as_str())
        .or_else(|| answer["links"]["next"].as_str())?;
    let (_, query) = link.split_once('?')?;
    let marker = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("marker="))?;
    let marker = percent_encoding::percent_decode_str(marker).decode_utf8_lossy();
    Some(marker.into_owned())
}

const MOST_ATTEMPTS: u32 = 3;
/// How many items are asked for at once.
const PAGE: usize = 1000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_marker_is_taken_from_either_form_of_link() {
        let nova = json!({ "servers_links": [{ "rel": "next", "href": "http://x/servers?limit=2&marker=a%20b" }] });
        assert_eq!(next_marker(&nova, "servers").as_deref(), Some("a b"));
        let neutron =
            json!({ "ports_links": [{ "rel": "previous", "href": "http://x?marker=z" }] });
        assert_eq!(next_marker(&neutron, "ports"), None);
        let glance = json!({ "next": "/v2/images?marker=m&limit=1" });
        assert_eq!(next_marker(&glance, "images").as_deref(), Some("m"));
        let designate = json!({ "links": { "self": "http://x", "next": "http://x/v2/zones?limit=1&marker=d" } });
        assert_eq!(next_marker(&designate, "zones").as_deref(), Some("d"));
    }
}
