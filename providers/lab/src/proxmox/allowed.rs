//! Who may call what: the published trees of checks.

use serde_json::Value;

use super::{Call, Failure};
use crate::schema::{Method, Permission};
use crate::world::World;

/// Refuses who may not call a method with these parameters.
///
/// # Errors
/// [`Failure::Permission`], with path and privilege where one of them alone is missing.
pub(crate) fn allow(call: &Call<'_>, method: &Method) -> Result<(), Failure> {
    match &method.permission {
        Permission::World | Permission::All => Ok(()),
        _ if call.caller.is_root() => Ok(()),
        Permission::Root => Err(Failure::Permission(
            "Permission check failed (user != root@pam)".into(),
        )),
        Permission::Check(tree) => check(call, tree),
    }
}

fn check(call: &Call<'_>, tree: &Value) -> Result<(), Failure> {
    let bare = || Failure::Permission("Permission check failed".into());
    let parts = tree.as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |index: usize| parts.get(index).and_then(Value::as_str).unwrap_or_default();
    match word(0) {
        "and" => parts.iter().skip(1).try_for_each(|part| check(call, part)),
        "or" => match parts.iter().skip(1).any(|part| check(call, part).is_ok()) {
            true => Ok(()),
            false => Err(bare()),
        },
        "perm" => {
            let options = parts.get(3..).unwrap_or_default();
            let option = |name: &str| {
                let at = options
                    .iter()
                    .position(|option| option.as_str() == Some(name))?;
                options.get(at + 1)
            };
            if let Some(needed) = option("require_param").and_then(Value::as_str)
                && call.parameters.text(needed).is_none()
            {
                return Err(bare());
            }
            let path = filled(call, word(1)).ok_or_else(bare)?;
            let names = parts
                .get(2)
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            let is_any = option("any").is_some();
            match is_any {
                true if call.may(&path, &names) => Ok(()),
                true => Err(Failure::Permission(format!(
                    "Permission check failed ({path}, {})",
                    names.join("|")
                ))),
                false => call.must(&path, &names),
            }
        }
        "perm-modify" => {
            let path = filled(call, word(1)).ok_or_else(bare)?;
            call.must(&path, &["Permissions.Modify"])
        }
        "userid-param" if word(1) == "self" => match call.parameters.text("userid") {
            Some(user) if user == call.caller.user => Ok(()),
            _ => Err(bare()),
        },
        "userid-param" => call.must("/access/realm/pve", &[word(1)]),
        "userid-group" => {
            let names = parts
                .get(1)
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            match call.may("/access/groups", &names) {
                true => Ok(()),
                false => Err(bare()),
            }
        }
        _ => Err(bare()),
    }
}

/// Puts parameters into a path; none where one is not given.
fn filled(call: &Call<'_>, path: &str) -> Option<String> {
    let mut filled = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        filled.push('/');
        filled.push_str(match name {
            Some(name) => call.parameters.text(name)?,
            None => part,
        });
    }
    Some(if filled.is_empty() {
        "/".into()
    } else {
        filled
    })
}

/// Returns the pool whose rules count at a path of a guest or a storage.
pub(super) fn pool_at(world: &World, path: &str) -> Option<String> {
    if let Some(vmid) = path
        .strip_prefix("/vms/")
        .and_then(|rest| rest.parse().ok())
    {
        return world.pool_of(vmid).map(str::to_owned);
    }
    let storage = path.strip_prefix("/storage/")?;
    let mut pools = world.cluster.pools.iter();
    pools
        .find(|(_, pool)| pool.storages.contains(storage))
        .map(|(name, _)| name.clone())
}
