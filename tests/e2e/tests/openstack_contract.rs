//! The contract's clauses over the types of the provider `openstack`, against the lab, with faults and without: the trials are those
//! that `cargo xtask live openstack` runs against a real cloud.

/// Makes tests of trials, each on a lab of its own.
macro_rules! trials {
    ($($name:ident)*) => {
        mod tests {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::world_of_a_lab(stringify!($name))).await;
                }
            )*
        }
    };
}

#[path = "../../live/tests/openstack/contract.rs"]
mod contract;
#[path = "support/lab.rs"]
mod lab;
#[path = "../../live/tests/openstack/world.rs"]
mod world;

use std::sync::Arc;

use dmp_live::Cloud;
use lab::Lab;
use serde_json::{Value as Json, json};
use world::World;

/// The strangers' things on a new lab, which ends with the world.
fn world_of_a_lab(test: &str) -> World {
    let external = json!({ "name": "external", "cidr": "127.22.0.0/24" });
    // What is made takes long enough that it is waited for.
    let speed = match test {
        // A disk is plugged in five seconds.
        "openstack_volume_attachment_keeps_the_contract" => 20,
        _ => 100,
    };
    let images = ["debian-13", "debian-12"];
    let openstack = json!({ "external": external, "images": images });
    let lab = Lab::at_speed(&json!({ "openstack": openstack }), speed);
    let cloud = Cloud::of(lab.clouds(), "lab-member");
    let faults = move |begin: bool| {
        lab.own("DELETE", "/lab/faults", &Json::Null);
        if begin {
            fail_in_passing(&lab);
        }
    };
    World::on(cloud, Some(Arc::new(faults)))
}

/// Lets calls fail in ways that a client bears: too busy, and what takes its time.
fn fail_in_passing(lab: &Lab) {
    lab.fault(&json!({ "kind": "unavailable", "percent": 1 }));
    lab.fault(&json!({ "kind": "too-many", "percent": 1, "times": 3 }));
    lab.fault(&json!({ "kind": "latency", "percent": 3, "milliseconds": 20 }));
}
