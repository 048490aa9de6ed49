//! Where objects are: beside each other in one collection, or within another object, such as a record set within its zone. The
//! recorded id of the latter is `PARENT/ID`, so that it alone says where the object is.

use dmp_sdk::Value;

use super::Kind;
use crate::values::{segment, text_at};

/// A recorded id, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot<'a> {
    /// The id of what the object is part of.
    pub parent: Option<&'a str>,
    /// Its own.
    pub id: &'a str,
}

impl Kind {
    /// The attribute that says what its objects are part of: what stands in braces in the path of the collection, or of the listing.
    pub(super) fn within(&self) -> Option<&'static str> {
        let (_, rest) = self
            .collection
            .split_once('{')
            .or_else(|| self.listing.split_once('{'))?;
        rest.split_once('}').map(|(name, _)| name)
    }

    /// Takes a recorded id apart.
    pub(super) fn spot<'a>(&self, recorded: &'a str) -> Spot<'a> {
        match (self.within(), recorded.split_once('/')) {
            (Some(_), Some((parent, id))) => Spot {
                parent: Some(parent),
                id,
            },
            _ => Spot {
                parent: None,
                id: recorded,
            },
        }
    }

    /// The id of what an object with these attributes is part of.
    pub(super) fn parent_in(&self, value: &Value) -> Option<String> {
        text_at(value, self.within()?)
    }

    /// The id to be recorded.
    pub(super) fn recorded(&self, parent: Option<&str>, id: &str) -> String {
        match (self.within(), parent) {
            (Some(_), Some(parent)) => format!("{parent}/{id}"),
            _ => id.to_owned(),
        }
    }

    /// The path of the collection; `None` where it is not known yet what it is part of.
    pub(super) fn collection_of(&self, parent: Option<&str>) -> Option<String> {
        filled(self.collection, parent)
    }

    /// The path of the listing in which an object is found.
    pub(super) fn listing_of(&self, parent: Option<&str>) -> Option<String> {
        filled(self.listing, parent)
    }

    /// The path of an object; `None` where its id does not say what it is part of.
    pub(super) fn path_of(&self, recorded: &str) -> Option<String> {
        let spot = self.spot(recorded);
        let collection = self.collection_of(spot.parent)?;
        Some(format!("{collection}/{}", segment(spot.id)))
    }
}

fn filled(path: &str, parent: Option<&str>) -> Option<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return Some(path.to_owned());
    };
    let (_, after) = rest.split_once('}')?;
    Some(format!("{before}{}{after}", segment(parent?)))
}

#[cfg(test)]
mod tests {
    use crate::object::Model;
    use crate::resources::network::Network;
    use crate::resources::recordset::Recordset;

    #[test]
    fn what_is_part_of_another_is_recorded_with_it() {
        let kind = Recordset.kind();
        assert_eq!(kind.within(), Some("zone_id"));
        let recorded = kind.recorded(Some("z"), "r");
        assert_eq!(recorded, "z/r");
        let path = kind.path_of(&recorded);
        assert_eq!(path.as_deref(), Some("/zones/z/recordsets/r"));
        assert_eq!(kind.path_of("r"), None);
        assert_eq!(kind.listing_of(None).as_deref(), Some("/recordsets"));
    }

    #[test]
    fn what_stands_alone_is_recorded_alone() {
        let kind = Network.kind();
        assert_eq!(kind.recorded(None, "n"), "n");
        assert_eq!(kind.path_of("a/b").as_deref(), Some("/networks/a%2Fb"));
        assert_eq!(kind.collection_of(None).as_deref(), Some("/networks"));
    }
}
