//! Two thousand machines.

mod support;

use std::time::{Duration, Instant};

use dmp_lab::{Site, TemplateSite};
use support::Running;

const MACHINES: u32 = 2000;

/// How much memory this process has taken, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("its memory");
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .expect("a number")
        / 1024
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that measures says what")]
fn two_thousand_machines_are_listed_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let template = |number: u32| TemplateSite {
        vmid: 10_000 + number,
        name: format!("m{number}"),
        node: "pve1".into(),
        storage: "shared".into(),
        disk_gib: 1,
    };
    let site = Site {
        templates: (0..MACHINES).map(template).collect(),
        ..Site::default()
    };
    let place = folder.path().join("lab");
    let start = Instant::now();
    let lab = Running::begin(&place, site.clone());
    let made = start.elapsed();
    let client = lab.client();
    let best_of_ten = |path: &str, members: Option<usize>| {
        let one = || {
            let start = Instant::now();
            let answer = client.get(path);
            let took = start.elapsed();
            assert_eq!(answer.data().as_array().map(Vec::len), members);
            took
        };
        (0..10).map(|_| one()).min().expect("times")
    };
    let all = MACHINES as usize;
    let best = best_of_ten("/cluster/resources?type=vm", Some(all));
    let connection = best_of_ten("/version", None);
    let start = Instant::now();
    lab.end();
    let lab = Running::begin(&place, site);
    let again = start.elapsed();
    eprintln!(
        "{MACHINES} machines made in {made:?}, listed in {best:?} ({connection:?} of it for the connection), taken up again in {again:?}, {} MiB",
        resident()
    );
    assert_eq!(
        lab.client()
            .get("/cluster/resources?type=vm")
            .data()
            .as_array()
            .map(Vec::len),
        Some(MACHINES as usize)
    );
    // Without optimisation, on a busy host.
    assert!(best < Duration::from_millis(500), "{best:?}");
}
