//! Listings: what fits what was asked, in order, a page at a time.

use serde_json::{Value, json};

use super::estate::Shown;
use super::failure::Failure;
use super::{Call, shape};

/// A listing.
pub(super) struct Listing {
    /// The name of the list in the answer.
    pub many: &'static str,
    /// The path of the listing, for the link to the next page.
    pub path: String,
    pub items: Vec<Shown>,
}

/// Words of a query that are no filters.
const NO_FILTERS: [&str; 16] = [
    "limit",
    "marker",
    "offset",
    "fields",
    "sort_key",
    "sort_dir",
    "sort",
    "page_reverse",
    "all_tenants",
    "all_projects",
    "deleted",
    "with_count",
    "changes-since",
    "member_status",
    "is_public",
    "reservation_id",
];

/// The longest page.
const LONGEST: usize = 1000;

impl Listing {
    /// Returns the page that was asked for.
    pub(super) fn page(mut self, call: &Call<'_>) -> Result<Value, Failure> {
        self.sort(call);
        let limit = match call.asked("limit") {
            None => LONGEST,
            Some(text) => {
                let limit = text.parse::<i64>().map_err(|_| {
                    Failure::bad(format!("Invalid input for query parameters limit. Value: {text}. '{text}' does not match '^[0-9]*$'"))
                })?;
                match usize::try_from(limit) {
                    Ok(0) | Err(_) if limit < 0 => {
                        return Err(Failure::bad("limit param must not be negative"));
                    }
                    Ok(0) | Err(_) => LONGEST,
                    Ok(limit) => limit.min(LONGEST),
                }
            }
        };
        let mut items = self.items.into_iter();
        if let Some(marker) = call.asked("marker").filter(|marker| !marker.is_empty()) {
            let is_it = |item: &Shown| {
                item.get("id").and_then(Value::as_str) == Some(marker)
                    || item.get("name").and_then(Value::as_str) == Some(marker)
                        && !item.contains_key("id")
            };
            if !items.by_ref().any(|item| is_it(&item)) {
                return Err(Failure::bad(format!("marker [{marker}] not found")));
            }
        }
        let page: Vec<Shown> = items.by_ref().take(limit).collect();
        let last = page
            .last()
            .and_then(|item| item.get("id").or(item.get("name")));
        let next = last
            .and_then(Value::as_str)
            .filter(|_| items.next().is_some());
        let mut answer = json!({});
        if let Some(next) = next {
            let others = call.query.iter().filter(|(name, _)| name != "marker");
            let mut words: Vec<String> = others
                .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
                .collect();
            words.push(format!("marker={}", encode(next)));
            let path = format!("{}?{}", self.path, words.join("&"));
            match self.many {
                // Glance writes a path, and in a way of its own.
                "images" => answer["next"] = json!(path),
                many => {
                    let href = format!("{}{path}", call.base);
                    answer[format!("{many}_links")] = json!([{ "rel": "next", "href": href }]);
                }
            }
        }
        let fields: Vec<&str> = call
            .query
            .iter()
            .filter(|(name, _)| name == "fields")
            .map(|(_, value)| value.as_str())
            .collect();
        let cut = |mut item: Shown| {
            if !fields.is_empty() {
                item.retain(|name, _| fields.contains(&name.as_str()));
            }
            Value::Object(item)
        };
        answer[self.many] = page.into_iter().map(cut).collect();
        Ok(answer)
    }

    fn sort(&mut self, call: &Call<'_>) {
        // Two ways to say it: `sort_key=a&sort_dir=desc`, and `sort=a:desc`.
        let mut keys: Vec<(String, bool)> = Vec::new();
        let all = |name: &str| {
            let of_name = call.query.iter().filter(move |(known, _)| known == name);
            of_name.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let directions = all("sort_dir");
        for (place, key) in all("sort_key").into_iter().enumerate() {
            let is_down = directions.get(place).is_some_and(|it| it == "desc");
            keys.push((key, is_down));
        }
        for part in all("sort").iter().flat_map(|text| text.split(',')) {
            let (key, direction) = part.split_once(':').unwrap_or((part, "desc"));
            keys.push((key.to_owned(), direction == "desc"));
        }
        for (key, is_down) in keys.into_iter().rev() {
            self.items.sort_by(|one, other| {
                let order = sortable(one.get(&key)).cmp(&sortable(other.get(&key)));
                if is_down { order.reverse() } else { order }
            });
        }
    }

    /// Keeps what has the values that the query names; a name that comes again asks for either.
    pub(super) fn filter(&mut self, call: &Call<'_>, is_filter: impl Fn(&str) -> bool) {
        let words = call.query.iter();
        let names: Vec<&str> = words
            .map(|(name, _)| name.as_str())
            .filter(|name| !NO_FILTERS.contains(name) && is_filter(name))
            .collect();
        self.items.retain(|item| {
            names.iter().all(|name| {
                let mut values = call.query.iter().filter(|(known, _)| known == name);
                values.any(|(_, wanted)| has(item, name, wanted))
            })
        });
    }

    /// Returns the words of a query that could be filters.
    pub(super) fn filters<'c>(call: &'c Call<'_>) -> impl Iterator<Item = &'c str> {
        let names = call.query.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !NO_FILTERS.contains(name))
    }
}

/// Whether an item has a value, as it is written in a query.
fn has(item: &Shown, name: &str, wanted: &str) -> bool {
    // Neutron's ways to ask for tags.
    let tags = item
        .get("tags")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let has_tag = |wanted: &str| tags.iter().any(|tag| tag == wanted);
    match name {
        "tags-any" => return wanted.split(',').any(has_tag),
        "not-tags" => return !wanted.split(',').all(has_tag),
        "not-tags-any" => return !wanted.split(',').any(has_tag),
        _ => {}
    }
    match item.get(name) {
        None | Some(Value::Null) => wanted.is_empty(),
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(flag)) => shape::flag(&json!(wanted)) == Some(*flag),
        Some(Value::Number(number)) => number.to_string() == wanted,
        Some(Value::Array(items)) if name == "tags" || name == "security_groups" => {
            let has = |wanted: &str| items.iter().any(|item| item == wanted);
            wanted.split(',').all(has)
        }
        // `fixed_ips=subnet_id=…`.
        Some(Value::Array(items)) => {
            let (member, value) = wanted.split_once('=').unwrap_or(("", wanted));
            items.iter().any(|item| item[member] == value)
        }
        Some(Value::Object(_)) => false,
    }
}

fn sortable(value: Option<&Value>) -> (i64, String) {
    match value {
        Some(Value::Number(number)) => (number.as_i64().unwrap_or(0), String::new()),
        Some(Value::String(text)) => (0, text.clone()),
        Some(other) => (0, other.to_string()),
        None => (0, String::new()),
    }
}

/// Puts what a query can't hold into percent signs.
fn encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let one = |byte: u8| match plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
