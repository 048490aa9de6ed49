//! Reading: out of the collection's listing, which is asked once for all; one by one only what is not in it, or was just
//! written.

use dmp_sdk::{
    Answers, AttributePath, Candidate, Change, Diagnostic, Fetch, Known, Object, Presence, Purpose,
    Reading, Value,
};
use serde_json::Value as Json;

use super::{Model, Objects, Place, State};
use crate::cloud::{Question, believe, found};
use crate::marked::{self, Described};
use crate::values::{items, texts_at, value_of, wrong};

impl<M: Model> Objects<M> {
    pub(super) fn wanted_answers(&self, known: &Known<'_>) -> Result<Vec<Fetch>, Diagnostic> {
        match (known.purpose, known.id) {
            (Purpose::DryRun | Purpose::BeforeCreate, _) => Ok(Vec::new()),
            (Purpose::Settle, _) | (Purpose::Refresh, Some(_)) => {
                let kind = self.model.kind();
                let parent = known.id.and_then(|id| kind.spot(id).parent);
                let parent = parent.map(ToOwned::to_owned);
                let parent = parent.or_else(|| kind.parent_in(known.attributes));
                let listing = self.listing(parent.as_deref());
                listing.iter().map(Question::fetch).collect()
            }
            (_, Some(id)) => match (self.model.kind().path_of(id), self.listing(None)) {
                // An id of its own alone, as listings have it: where it is is found out.
                (None, Some(listing)) => Ok(vec![listing.fetch()?]),
                _ => Ok(vec![self.one(id)?]),
            },
            (_, None) => Ok(Vec::new()),
        }
    }

    pub(super) fn reading(
        &self,
        known: &Known<'_>,
        answers: Answers<'_>,
    ) -> Result<Reading, Diagnostic> {
        let Some(id) = known.id.filter(|_| !answers.is_empty()) else {
            return Ok(Reading::Absent);
        };
        if known.purpose == Purpose::Settle {
            // `find` looks for it.
            return Ok(Reading::Absent);
        }
        let kind = self.model.kind();
        let answer = answers.json(answers.len() - 1)?;
        let object = match found(answer).is_array() {
            true => {
                let listed = items(found(answer)).iter();
                let own = kind.spot(id).id;
                let mut listed = listed.filter(|item| item["id"] == own);
                match listed.next() {
                    Some(item) => item.clone(),
                    None if kind.path_of(id).is_none() => return Ok(Reading::Absent),
                    // A page may have been turned while something went: what is gone says so itself.
                    None => return Ok(Reading::More(vec![self.one(id)?])),
                }
            }
            false => {
                let one = found(answer);
                if one.is_null() {
                    believe(answer, known.attributes)?;
                    return Ok(Reading::Absent);
                }
                match one.get(kind.one) {
                    Some(inner) if inner.is_object() => inner.clone(),
                    // Glance has the object itself.
                    _ => one.clone(),
                }
            }
        };
        Ok(self.as_reading(known, &object))
    }

    fn as_reading(&self, known: &Known<'_>, found: &Json) -> Reading {
        let object = self.object(known, found);
        match self.model.state(found) {
            State::Ready => Reading::Found(object),
            _ if known.purpose == Purpose::Import => Reading::Found(object),
            State::UnderWay(why) | State::Failed(why) => Reading::HalfMade(object, why),
        }
    }

    pub(super) fn candidates(
        &self,
        known: &Known<'_>,
        answers: Answers<'_>,
    ) -> Result<Vec<Candidate>, Diagnostic> {
        if answers.is_empty() {
            return Ok(Vec::new());
        }
        let mark = known.mark.map(ToString::to_string);
        let own = known.id.map(|id| self.model.kind().spot(id).id);
        let listed = items(found(answers.json(0)?)).iter();
        let is_it = |item: &&Json| {
            let is_marked = mark.is_some() && self.mark_of(item) == mark;
            is_marked || own.is_some() && item["id"].as_str() == own
        };
        let candidate = |item: &Json| Candidate {
            object: self.object(known, item),
            half_made: match self.model.state(item) {
                State::Ready => None,
                State::UnderWay(why) | State::Failed(why) => Some(why),
            },
        };
        Ok(listed.filter(is_it).map(candidate).collect())
    }

    /// An object as it was found. What it is part of it need not say itself.
    fn object(&self, known: &Known<'_>, found: &Json) -> Object {
        let kind = self.model.kind();
        let parent = known.id.and_then(|id| kind.spot(id).parent);
        let value = match (kind.within(), parent) {
            (Some(name), Some(parent)) => known.attributes.with(name, parent.into()),
            _ => known.attributes.clone(),
        };
        let attributes = self.attributes(&value, found);
        let parent = kind.parent_in(&attributes);
        let id = found["id"].as_str();
        Object {
            id: id.map(|id| kind.recorded(parent.as_deref(), id)),
            attributes,
        }
    }

    /// The mark that an object carries.
    pub(super) fn mark_of(&self, object: &Json) -> Option<String> {
        match self.model.kind().mark {
            Place::Description => Described::read(object["description"].as_str()).mark,
            Place::Metadata => marked::in_metadata(&object["metadata"]),
            Place::Name => Described::read(object["name"].as_str()).mark,
            Place::Tags => marked::in_tags(&object["tags"]),
        }
    }

    /// All attributes, as they were found.
    pub(super) fn attributes(&self, known: &Value, object: &Json) -> Value {
        let kind = self.model.kind();
        let mut value = known.clone();
        for field in kind.fields {
            value = value.with(
                field.attribute,
                self.attribute(known, field.attribute, &object[field.member]),
            );
        }
        value = value.with("id", object["id"].as_str().map(ToOwned::to_owned).into());
        let project = [
            "project_id",
            "tenant_id",
            "os-vol-tenant-attr:tenant_id",
            "owner",
        ]
        .iter()
        .find_map(|name| crate::values::text(object, name));
        value = value.with("project_id", project.into());
        match kind.mark {
            Place::Description => {
                let described = Described::read(object["description"].as_str());
                value = value.with("description", described.text.into());
            }
            Place::Metadata => {
                let mut metadata = object["metadata"].clone();
                if let Some(members) = metadata.as_object_mut() {
                    members.remove(marked::KEY);
                }
                value = value.with("metadata", self.attribute(known, "metadata", &metadata));
            }
            Place::Tags => {
                let tags = marked::without(&object["tags"]);
                value = value.with("tags", self.attribute(known, "tags", &tags));
            }
            Place::Name => {
                let named = Described::read(object["name"].as_str());
                value = value.with("name", named.text.into());
            }
        }
        if kind.has_tags {
            value = value.with("tags", self.attribute(known, "tags", &object["tags"]));
        }
        self.model.refine(known, object, value)
    }

    /// One attribute. Where nothing was said and nothing is there it is null.
    fn attribute(&self, known: &Value, name: &str, found: &Json) -> Value {
        let Some(attribute) = self.schema.attributes.get(name) else {
            return Value::null();
        };
        let value = value_of(found, &attribute.ty);
        let is_empty = match value.as_str() {
            Some(text) => text.is_empty(),
            None => {
                value.children().next().is_none()
                    && (value.as_items().is_some() || value.as_members().is_some())
            }
        };
        let was_said = known.get(name);
        let is_optional = matches!(attribute.presence, Presence::Optional(None));
        match is_empty && is_optional && was_said.is_null()
            || is_empty && value.as_str().is_some() && was_said.as_str().is_none()
        {
            true => Value::null(),
            false => value,
        }
    }

    /// A description must leave room for the mark.
    pub(super) fn check_description(&self, change: &Change<'_>) -> Result<(), Diagnostic> {
        let place = self.model.kind().mark;
        if place == Place::Tags {
            let tags = texts_at(&change.planned, "tags");
            return match tags.iter().find(|tag| marked::is_mark(tag)) {
                Some(tag) => Err(wrong("tags", format!("`{tag}` looks like a mark of dmp's"))),
                None => Ok(()),
            };
        }
        if place == Place::Metadata {
            let metadata = change.planned.get("metadata");
            return match metadata
                .as_members()
                .is_some_and(|members| members.contains_key(marked::KEY))
            {
                true => Err(Diagnostic::error("wrong-argument", "unusable argument")
                    .detail(format!("`{}` is where dmp's own mark stands", marked::KEY))
                    .path(AttributePath::of("metadata"))),
                false => Ok(()),
            };
        }
        let name = match place {
            Place::Name => "name",
            _ => "description",
        };
        let text = change.planned.get(name);
        let length = text.as_str().map_or(0, str::len);
        let room = marked::room(self.model.longest_text(), None);
        match length > room {
            true => Err(Diagnostic::error("wrong-argument", "unusable argument")
                .detail(format!(
                    "`{name}` has {length} bytes; {room} fit beside dmp's mark"
                ))
                .path(AttributePath::of(name))),
            false => Ok(()),
        }
    }
}
