//! Two thousand machines.

mod support;

use std::time::{Duration, Instant};

use dmp_lab::Site;
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
    let site = Site {
        speed: 10_000.0,
        ..Site::default()
    };
    let place = folder.path().join("lab");
    let lab = Running::begin(&place, site.clone());
    let client = lab.client();
    let begun = Instant::now();
    let tasks: Vec<_> = (0..MACHINES)
        .map(|number| {
            client
                .post(
                    "/nodes/pve1/qemu/9000/clone",
                    &format!("newid={}&name=m{number}", 10_000 + number),
                )
                .data()
        })
        .collect();
    assert_eq!(client.wait(tasks.last().expect("a task")), "OK");
    let made = begun.elapsed();
    std::thread::sleep(Duration::from_millis(100));

    let times: Vec<_> = (0..10)
        .map(|_| {
            let start = Instant::now();
            let answer = client.get("/cluster/resources?type=vm");
            let took = start.elapsed();
            assert_eq!(
                answer.data().as_array().map(Vec::len),
                Some(MACHINES as usize + 1)
            );
            took
        })
        .collect();
    let best = times.iter().min().expect("times");
    let start = Instant::now();
    lab.end();
    let lab = Running::begin(&place, site);
    let again = start.elapsed();
    eprintln!(
        "{MACHINES} clones in {made:?}, listed in {best:?} at best of {times:?}, taken up again in {again:?}, {} MiB",
        resident()
    );
    assert_eq!(
        lab.client()
            .get("/cluster/resources?type=vm")
            .data()
            .as_array()
            .map(Vec::len),
        Some(MACHINES as usize + 1)
    );
    // Ten times what it takes without optimisation on a busy machine would be too slow for anybody.
    assert!(*best < Duration::from_millis(500), "{best:?}");
}
