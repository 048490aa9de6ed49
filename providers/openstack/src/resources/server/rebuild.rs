//! Another image, where the person has asked for that: Nova begins the local disk of the server anew, and all else of it stays.
//!
//! Nova shows the new image from the moment on at which it has taken the call, so that work that was interrupted is gone on with by
//! looking alone. What user data a server has it shows to nobody but administrators: that they differ is therefore never the
//! reason for a rebuild, but they go along with each.

use dmp_sdk::{AttributePath, Change, Diagnostic, Effect, Value};
use serde_json::{Value as Json, json};

use super::super::primary::is_primary;
use super::change::{READY, ServerWork};
use super::{read, user_data, wanted};
use crate::object::State;
use crate::session::ApiError;
use crate::values::{text, text_at, wrong};

const CANNOT: &str = "cannot rebuild a server";

/// Whether another image is to be begun with in place.
fn is_wanted(value: &Value) -> bool {
    text_at(value, "on_image_change").as_deref() == Some("rebuild")
}

/// Refuses what is none of the ways.
pub(super) fn check(planned: &Value) -> Result<(), Diagnostic> {
    match text_at(planned, "on_image_change").as_deref() {
        None | Some("replace" | "rebuild") => Ok(()),
        Some(other) => Err(wrong(
            "on_image_change",
            format!("`{other}` is neither `replace` nor `rebuild`"),
        )),
    }
}

/// Whether a change comes to a rebuild.
pub(super) fn is_due(change: &Change<'_>, prior: &Value) -> bool {
    let has_both = !prior.get("image_id").is_null() && !change.planned.get("image_id").is_null();
    has_both && change.changes("image_id") && is_wanted(&change.planned)
}

/// Says what another image comes to.
pub(super) fn plan(change: &mut Change<'_>, prior: &Value) -> Result<(), Diagnostic> {
    if !change.changes("image_id") {
        return Ok(());
    }
    if !is_due(change, prior) {
        let why = match is_wanted(&change.planned) {
            true => "it boots from a volume before or afterwards",
            false => {
                "its disk begins as another image, which `on_image_change` has it replaced for"
            }
        };
        change.replace("image_id", why);
        return Ok(());
    }
    let name = text_at(prior, "name").unwrap_or_default();
    if is_primary(prior) {
        return Err(Diagnostic::error("primary-data", "refused to delete primary data")
            .detail(format!(
                "a rebuild throws the local disk of `{name}` away, which holds data that may exist nowhere else"
            ))
            .path(AttributePath::of("image_id"))
            .help("keep the image, or apply `primary = false` first"));
    }
    change.effect(Effect::DataLoss {
        what: format!("the local disk of `{name}`"),
    });
    change.effect(Effect::Downtime {
        what: format!("`{name}`"),
    });
    change.note(
        "it is rebuilt in place and boots for the first time again; what was set up on it is found missing by the next plan, and made again",
    );
    Ok(())
}

impl ServerWork<'_> {
    /// Begins the local disk of a server anew, where it is of another image than is wanted.
    pub(super) async fn rebuild(
        &self,
        id: &str,
        server: Json,
        wanted: &Value,
    ) -> Result<Json, Diagnostic> {
        let has = text(&server["image"], "id");
        let image = match text_at(wanted, "image_id") {
            Some(image) if is_wanted(wanted) && has.as_ref().is_some_and(|has| *has != image) => {
                image
            }
            _ => return Ok(server),
        };
        let title = format!("rebuild {} from the image `{image}`", self.name());
        let told = wanted::told(wanted, self.task.job.chosen);
        let written = text_at(wanted, "user_data");
        // Null takes away what it was told before.
        let user_data = user_data::encoded(told.as_ref(), written.as_deref());
        let body = json!({ "rebuild": { "imageRef": image, "user_data": user_data } });
        let lost = match self.act(id, &title, &body).await {
            Ok(()) => None,
            // It may have been heard.
            Err(error) if error.is_unknown() => Some(error),
            Err(error) => return Err(error.diagnostic(CANNOT)),
        };
        let what = format!("{} to be rebuilt", self.name());
        let server = self.settled(id, &what, READY).await;
        let server = server.map_err(|error: ApiError| error.diagnostic(CANNOT))?;
        if let State::Failed(why) = read::state(&server) {
            return Err(Diagnostic::remote("failed", CANNOT)
                .cause(why)
                .help("mend the cause; the next plan proposes to replace it"));
        }
        match (text(&server["image"], "id") == Some(image), lost) {
            (true, _) => Ok(server),
            (false, Some(error)) => Err(error.diagnostic(CANNOT)),
            (false, None) => {
                let why = self.last_fault(id).await;
                let why = why
                    .unwrap_or_else(|| "Nova has left it as it was, and does not say why".into());
                Err(Diagnostic::remote("failed", CANNOT).cause(why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dmp_sdk::{Address, DryRun, Resource};

    use super::super::Server;
    use super::*;

    fn server(image: &str, way: &str) -> Value {
        Value::object_of([
            ("name", "web".into()),
            ("image_id", image.into()),
            ("on_image_change", way.into()),
        ])
    }

    /// What a change of a server comes to: replacements, effects, and why it is refused.
    fn planned(prior: &Value, wanted: &Value) -> (usize, Vec<Effect>, Option<&'static str>) {
        let (kind, address) = (Server::new(), Address::managed("openstack_server", "web"));
        let mut change = Change {
            address: &address,
            schema: kind.schema(),
            prior: Some(prior),
            is_half_made: false,
            earlier: None,
            config: wanted,
            planned: wanted.clone(),
            replacements: Vec::new(),
            effects: Vec::new(),
            notes: Vec::new(),
            dry_run: DryRun::NotAsked,
        };
        let refused = kind.plan(&mut change).err().map(|refused| refused.code);
        (change.replacements.len(), change.effects, refused)
    }

    #[test]
    fn another_image_replaces_a_server_unless_it_is_to_be_rebuilt() {
        let old = server("old", "replace");
        assert_eq!(planned(&old, &old), (0, Vec::new(), None));
        assert_eq!(
            planned(&old, &server("new", "replace")),
            (1, Vec::new(), None)
        );
        let lost = Effect::DataLoss {
            what: "the local disk of `web`".into(),
        };
        let away = Effect::Downtime {
            what: "`web`".into(),
        };
        assert_eq!(
            planned(&old, &server("new", "rebuild")),
            (0, vec![lost, away], None)
        );
        let (_, _, refused) = planned(&old, &server("new", "mend"));
        assert_eq!(refused, Some("wrong-argument"));
    }

    #[test]
    fn a_disk_that_is_primary_is_not_begun_anew() {
        let old = server("old", "rebuild").with("primary", true.into());
        let new = server("new", "rebuild");
        assert_eq!(planned(&old, &new).2, Some("primary-data"));
        assert_eq!(planned(&old, &old).2, None);
    }

    #[test]
    fn a_server_that_boots_from_a_volume_is_replaced() {
        let volume = Value::object_of([
            ("source", "volume".into()),
            ("id", "v".into()),
            ("boot_index", 0.into()),
        ]);
        let volume = server("old", "rebuild")
            .with("image_id", Value::null())
            .with("block_device", Value::list(vec![volume]));
        let (replacements, effects, refused) = planned(&volume, &server("new", "rebuild"));
        assert_eq!((replacements, effects, refused), (1, Vec::new(), None));
    }
}
