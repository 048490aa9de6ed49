//! High availability: the one answer that tells a client which form of it this release has. The rest is not served.

use super::{Call, Handler, Outcome};

pub(super) const METHODS: &[(&str, Handler)] = &[("GET /cluster/ha/groups", groups)];

fn groups(_: &mut Call<'_>) -> Outcome {
    Err("cannot index groups: ha groups have been migrated to rules".into())
}
