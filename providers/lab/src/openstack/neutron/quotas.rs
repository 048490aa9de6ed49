//! How much of everything a project may have.

use serde_json::{Map, json};

use super::{COLLECTIONS, Collection};
use crate::openstack::{Answer, Call, Failure, Outcome};

/// Refuses one more than a project may have.
pub(super) fn check(
    call: &Call<'_>,
    collection: &Collection,
    project: &str,
) -> Result<(), Failure> {
    let most = call.quota(collection.one);
    let has = call.world.openstack.count(collection.kind, project);
    match most >= 0 && has >= most {
        true => Err(Failure::of(
            409,
            "OverQuota",
            format!("Quota exceeded for resources: ['{}'].", collection.one),
        )),
        false => Ok(()),
    }
}

fn project(call: &Call<'_>) -> Result<String, Failure> {
    let project = call.at("project").to_owned();
    match call.sees(&project) {
        true => Ok(project),
        false => Err(Failure::of(
            403,
            "PolicyNotAuthorized",
            "(rule:get_quota) is disallowed by policy",
        )),
    }
}

/// `GET /v2.0/quotas/{project}` and `…/default`.
pub(super) fn limits(call: &mut Call<'_>) -> Outcome {
    project(call)?;
    let mut quota = Map::new();
    for collection in COLLECTIONS {
        quota.insert(collection.one.to_owned(), json!(call.quota(collection.one)));
    }
    // Of those that the lab does not have there is no end.
    for name in ["rbac_policy", "subnetpool"] {
        quota.insert(name.to_owned(), json!(-1));
    }
    Answer::ok(json!({ "quota": quota }))
}

/// `GET /v2.0/quotas/{project}/details.json`.
pub(super) fn details(call: &mut Call<'_>) -> Outcome {
    let project = project(call)?;
    let mut quota = Map::new();
    for collection in COLLECTIONS {
        let used = call.world.openstack.count(collection.kind, &project);
        let limit = call.quota(collection.one);
        quota.insert(
            collection.one.to_owned(),
            json!({ "limit": limit, "used": used, "reserved": 0 }),
        );
    }
    Answer::ok(json!({ "quota": quota }))
}
