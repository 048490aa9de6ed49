//! Removing a machine: stopped, then destroyed with its disks. It is looked at first: an id is given out again.

use std::time::Duration;

use dmp_sdk::Diagnostic;

use super::Task;
use super::power::STOP;
use crate::client::{Method, parameters};
use crate::cluster::guest_path;
use crate::values;

impl Task<'_> {
    /// Removes the machine; already gone is success.
    pub(super) async fn remove(&self) -> Result<(), Diagnostic> {
        let Some(guest) = self.own_guest().await? else {
            return self.believe_gone().await;
        };
        if guest.get("protection").is_some_and(values::is_true) {
            return Err(
                Diagnostic::error("protected", "refused to delete a protected machine")
                    .detail(format!("`{}` has `protection` set", guest.vmid))
                    .help("set `protection = false` and apply that first"),
            );
        }
        let guest = self.unlocked(guest).await?;
        if guest.is_running() {
            self.cx
                .begin(&format!("stop {} on {}", guest.vmid, guest.node))
                .await?;
            // A shutdown that waits for an answer is not waited for.
            let stopped = self
                .power(&guest, "stop", &[("overrule-shutdown", "1")], STOP)
                .await;
            if let Err(error) = stopped
                && self
                    .own_guest()
                    .await?
                    .is_some_and(|guest| guest.is_running())
            {
                return Err(error.diagnostic("cannot stop a machine"));
            }
        }
        // While the machine is there, it says where its seed image is.
        if let Some(volume) = self.seed_left(&guest).await? {
            self.remove_seed(&guest, &volume).await?;
        }
        self.cx
            .begin(&format!("destroy {} on {}", guest.vmid, guest.node))
            .await?;
        let path = guest_path(&guest.node, guest.vmid);
        let form = parameters([("purge", "1"), ("destroy-unreferenced-disks", "1")]);
        let what = format!("the end of {}", guest.vmid);
        let destroyed = self
            .write_and_follow(Method::Delete, &path, &form, &what, DESTROY)
            .await;
        match destroyed {
            Ok(()) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => match self.own_guest().await? {
                Some(_) => Err(error.diagnostic("cannot destroy a machine")),
                None => Ok(()),
            },
        }
    }

    /// What is not seen may only be hidden: then it is not gone.
    async fn believe_gone(&self) -> Result<(), Diagnostic> {
        let Some(id) = self.job.id else {
            return Ok(());
        };
        let path = format!("/vms/{id}");
        let answer = self.cluster.authority_over(&path).await;
        let answer = answer.map_err(|error| error.diagnostic("cannot delete a machine"))?;
        crate::cluster::believe(&answer, &path)
    }
}

const DESTROY: Duration = Duration::from_secs(1800);
