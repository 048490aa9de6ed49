//! Starting, stopping and rebooting: after all else, and only where it is wanted or needed.

use std::time::Duration;

use dmp_sdk::{Diagnostic, Value};

use super::Task;
use super::wanted::flag;
use crate::client::{ApiError, Method, parameters};
use crate::cluster::guest_path;
use crate::guest::Guest;

impl Task<'_> {
    /// Brings the machine into the state that is wanted; `is_new`: it has never run.
    pub(super) async fn set_power(
        &self,
        guest: Guest,
        wanted: &Value,
        is_new: bool,
    ) -> Result<(), Diagnostic> {
        let shall_run = flag(wanted, "started") != Some(false);
        let mut guest = guest;
        if guest.described().is_making
            || (!is_new && shall_run && super::change::has_seed(&guest).is_some())
        {
            guest = self.offer_seed(guest, wanted).await?;
        }
        match (shall_run, guest.is_running()) {
            (true, false) => {
                self.begin_power(&guest, "start").await?;
                let started = self.power(&guest, "start", &[], START).await;
                self.settle(&guest, started, true, "cannot start a machine")
                    .await?;
                self.see_first_boot(guest, wanted).await
            }
            (false, true) => {
                self.begin_power(&guest, "shut down").await?;
                // Where nobody inside listens it is turned off after a minute.
                let parameters = [("timeout", "60"), ("forceStop", "1")];
                let stopped = self.power(&guest, "shutdown", &parameters, STOP).await;
                self.settle(&guest, stopped, false, "cannot shut a machine down")
                    .await?;
                self.finish(&guest, wanted).await
            }
            (true, true) => {
                let may_reboot = flag(wanted, "reboot") != Some(false);
                if !guest.pending.is_empty() && may_reboot && !is_new {
                    self.begin_power(&guest, "reboot").await?;
                    let rebooted = self
                        .power(&guest, "reboot", &[("timeout", "120")], STOP)
                        .await;
                    rebooted.map_err(|error| {
                        error
                            .diagnostic("cannot reboot a machine")
                            .help("shut it down from inside, or give it the guest agent; `reboot = false` lets the change wait")
                    })?;
                }
                self.see_first_boot(guest, wanted).await
            }
            (false, false) => self.finish(&guest, wanted).await,
        }
    }

    async fn begin_power(&self, guest: &Guest, verb: &str) -> Result<(), Diagnostic> {
        self.cx
            .begin(&format!("{verb} {} on {}", guest.vmid, guest.node))
            .await
    }

    pub(super) async fn power(
        &self,
        guest: &Guest,
        verb: &str,
        pairs: &[(&str, &str)],
        within: Duration,
    ) -> Result<(), ApiError> {
        let path = format!("{}/status/{verb}", guest_path(&guest.node, guest.vmid));
        let mut form = parameters([]);
        form.extend(
            pairs
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned())),
        );
        let what = format!("the {verb} of {}", guest.vmid);
        self.write_and_follow(Method::Post, &path, &form, &what, within)
            .await
    }

    /// An error is none where the machine is in the wanted state all the same.
    async fn settle(
        &self,
        guest: &Guest,
        done: Result<(), ApiError>,
        runs: bool,
        cannot: &str,
    ) -> Result<(), Diagnostic> {
        let Err(error) = done else {
            return Ok(());
        };
        if let ApiError::Ended(diagnostic) = error {
            return Err(*diagnostic);
        }
        match self.again(guest).await?.is_running() == runs {
            true => Ok(()),
            false => Err(error.diagnostic(cannot)),
        }
    }
}

const START: Duration = Duration::from_secs(300);
pub(super) const STOP: Duration = Duration::from_secs(300);
