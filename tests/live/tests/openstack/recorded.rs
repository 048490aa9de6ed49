//! The exchanges that the lab is held against, with the real cloud: each is still answered as it was recorded. With
//! `DMP_LIVE_RECORD=1` the file is written anew.

use std::fs;
use std::path::Path;

use dmp_live::Cloud;
use serde_json::{Value as Json, json};

use crate::exchanges::{Exchange, FILE, Play, differences, parse};
use crate::program::there;
use crate::world::{GROUPS, IMAGES, NETWORKS, SERVERS, VOLUMES, clear};

/// Removes what an earlier recording has left, which no mark is on.
fn forget(cloud: &Cloud) {
    for collection in [SERVERS, VOLUMES, NETWORKS, GROUPS, IMAGES] {
        let listed = cloud.get(collection.service, collection.listing);
        let all = listed[collection.many].as_array().cloned();
        for one in all.unwrap_or_default() {
            if one["name"] == "told" {
                cloud.remove(collection.service, &collection.path_of(&one));
            }
        }
    }
    cloud.remove("compute", "/os-keypairs/told");
}

#[test]
#[ignore = "needs a cloud: cargo xtask live openstack"]
fn what_was_recorded_is_still_answered_so() {
    let cloud = there().cloud;
    clear(&cloud);
    forget(&cloud);
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(FILE);
    let text = fs::read_to_string(&file).expect("it can be read");
    let records = std::env::var_os("DMP_LIVE_RECORD").is_some();
    let mut play = Play::with(|exchange: &Exchange, path: &str, body: &Json| {
        let answer = cloud.ask(
            exchange.text("method"),
            exchange.text("service"),
            path,
            body,
        );
        (u64::from(answer.status), answer.body)
    });
    let (mut lines, mut differ, mut count) = (String::new(), Vec::new(), 0);
    for mut exchange in parse(&text) {
        let (status, answer) = play.exchange(&exchange);
        if !records {
            let found = differences(&exchange, status, &answer);
            if !found.is_empty() {
                differ.push(format!("{}: {}", exchange.text("name"), found.join("; ")));
            }
        }
        exchange.0["status"] = json!(status);
        exchange.0["answer"] = answer;
        if let Some(password) = exchange.0.pointer_mut("/answer/server/adminPass") {
            *password = json!("not kept");
        }
        lines.push_str(&format!("{}\n", exchange.0));
        count += 1;
    }
    if records {
        fs::write(&file, lines).expect("it can be written");
    }
    println!("{count} exchanges, recorded: {records}");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
