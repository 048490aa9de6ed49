//! Routers of whole systems: each is a network namespace of its own, with a plug on each of its networks, that hands packets on
//! between them and leads to machines from outside, as Neutron's own routers are. The host's network has no part in that but the
//! bridges.
//!
//! What they are to be is looked at again and again; what has changed is changed, and all else goes on. They end with the lab.

mod commands;
mod filter;
pub(super) mod inside;
mod plugs;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::bridges::Bridges;
use super::namespace::{Ids, Running, Telling, program};
use super::root::PATH;
use crate::Trouble;
use crate::lab::Shared;
use crate::openstack::Way;
use crate::world::World;

/// How long something that changes is at most not as it should be.
const PAUSE: Duration = Duration::from_millis(100);

/// A router that runs.
struct Router {
    way: Way,
    holder: Running,
}

/// Keeps routers as they are to be for as long as the lab runs.
pub(super) async fn keep(shared: Arc<Shared>) {
    if !Ids::here().is_range() {
        return;
    }
    let bridges = Bridges::of(shared.folder());
    let mut running: BTreeMap<String, Router> = BTreeMap::new();
    // What could not be is not tried again before something else is wanted.
    let mut refused: BTreeMap<String, Way> = BTreeMap::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        let wanted = shared.with(wanted);
        running.retain(|id, _| wanted.contains_key(id));
        refused.retain(|id, way| wanted.get(id) == Some(&*way));
        for (id, way) in wanted {
            let is_so = running.get(&id).is_some_and(|router| router.way == way);
            if is_so || refused.contains_key(&id) {
                continue;
            }
            let before = running.remove(&id);
            match follow(&shared, &bridges, before, &way).await {
                Ok(router) => {
                    running.insert(id, router);
                }
                Err(trouble) => {
                    shared.note(format!("the router {id}: {trouble}"));
                    refused.insert(id, way);
                }
            }
        }
    }
}

/// Returns the routers that are to be, where there are whole systems.
fn wanted(world: &World) -> BTreeMap<String, Way> {
    if world.cluster.site.openstack.is_none() || world.cluster.site.roots.is_empty() {
        return BTreeMap::new();
    }
    let ways = world.openstack.ways().into_iter();
    ways.map(|way| (way.router.clone(), way)).collect()
}

/// Makes a router as it is to be, or changes it.
async fn follow(
    shared: &Arc<Shared>,
    bridges: &Bridges,
    before: Option<Router>,
    way: &Way,
) -> Result<Router, Trouble> {
    let (holder, before) = match before {
        Some(router) => (router.holder, Some(router.way)),
        None => (hold().await?, None),
    };
    let pid = holder.pid();
    let site = shared.with(|world| world.cluster.site.clone());
    let (bridges, way) = (bridges.clone(), way.clone());
    // One at a time: a machine may want to make the same bridge.
    let plugging = shared.machines.plugging.lock().await;
    let done = tokio::task::spawn_blocking(move || {
        plugs::change(&bridges, &site, before.as_ref(), &way, pid).map(|()| way)
    })
    .await;
    drop(plugging);
    let way = done.map_err(|error| Trouble::Refused(error.to_string()))??;
    Ok(Router { way, holder })
}

/// Starts the process that a router's network namespace is there by.
async fn hold() -> Result<Running, Trouble> {
    let mut command = program();
    command
        .arg("hold-network")
        .env("PATH", PATH)
        .kill_on_drop(false);
    let mut telling = Telling::spawn(command)?;
    telling.expect("unshared").await?;
    let pid = telling.pid()?;
    telling.running(&pid.to_string())
}

/// Whether this host can have routers; else what is missing.
pub(super) fn probe() -> Result<(), String> {
    let has_nft = PATH
        .split(':')
        .any(|folder| Path::new(folder).join("nft").exists());
    match has_nft {
        true => Ok(()),
        false => Err(
            "routers of the OpenStack need `nft` (on Debian and Ubuntu `apt-get install nftables`)"
                .to_owned(),
        ),
    }
}
