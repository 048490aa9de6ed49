//! Ids for new guests, out of the environment's range. The server reserves nothing, so one that turns out to be taken
//! is passed over and the next is tried.

use std::collections::BTreeSet;

use tokio::sync::Mutex;

use crate::client::{ApiError, Client, items};
use crate::values;

/// The range, and what of it is known to be taken.
pub(crate) struct Ids {
    first: u32,
    last: u32,
    taken: Mutex<Option<BTreeSet<u32>>>,
}

impl Ids {
    /// A range.
    pub(crate) fn new((first, last): (u32, u32)) -> Self {
        Self {
            first,
            last,
            taken: Mutex::default(),
        }
    }

    /// An id that no guest has and that this run has given nobody. The cluster is asked once.
    pub(crate) async fn claim(&self, client: &Client) -> Result<u32, ApiError> {
        let mut held = self.taken.lock().await;
        let taken = match held.as_mut() {
            Some(taken) => taken,
            None => {
                let guests = client.get("/cluster/resources?type=vm").await?;
                let ids = items(&guests).iter();
                let ids =
                    ids.filter_map(|guest| u32::try_from(values::number(guest, "vmid")?).ok());
                held.insert(ids.collect())
            }
        };
        let free = (self.first..=self.last).find(|id| !taken.contains(id));
        let id = free.ok_or_else(|| {
            ApiError::NotUnderstood(format!(
                "no id is free from {} to {}: widen `vm_ids`",
                self.first, self.last
            ))
        })?;
        taken.insert(id);
        Ok(id)
    }

    /// How many of the range are not known to be taken, given the ids of all guests.
    pub(crate) fn free(&self, taken: &BTreeSet<u32>) -> usize {
        let size = (self.last - self.first) as usize + 1;
        size - taken.range(self.first..=self.last).count()
    }
}
