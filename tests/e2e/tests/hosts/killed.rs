//! Killed anywhere, the next run goes on and runs nothing twice.

use crate::site::Site;

#[test]
fn killed_at_each_place_of_an_apply_the_next_one_goes_on_and_runs_nothing_twice() {
    for number in 1..100 {
        let Some(site) = Site::new() else { return };
        let at = format!("*:{number}");
        let ran = site
            .sandbox
            .run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 8, "only {number} places");
            return;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        site.run(&["apply", "--yes"]).expect_success();
        site.check_applied(&at);
    }
    panic!("more places than were looked at");
}

#[test]
fn killed_at_each_place_of_an_update_the_next_apply_goes_on_and_runs_nothing_twice() {
    for number in 1..100 {
        let Some(site) = Site::new() else { return };
        site.run(&["apply", "--yes"]).expect_success();
        site.sandbox.write("release.auto.hcl", "release = \"2\"\n");
        let at = format!("*:{number}");
        let ran = site
            .sandbox
            .run_with(&["apply", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 3, "only {number} places");
            return;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        site.run(&["apply", "--yes"]).expect_success();
        assert_eq!(site.text("count"), "made\nupdated\n", "{at}");
        site.run(&["plan", "--detailed-exitcode"]).expect_success();
    }
    panic!("more places than were looked at");
}

#[test]
fn what_runs_on_when_dmp_is_killed_is_waited_for_and_not_begun_again() {
    let Some(site) = Site::new() else { return };
    let main = site.sandbox.stack_folder().join("main.hcl");
    let hcl = std::fs::read_to_string(&main).expect("is there");
    site.sandbox
        .write("main.hcl", &hcl.replacen("sleep 0.1", "sleep 2", 1));
    let mut first = site
        .sandbox
        .command(&["apply", "--yes"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    while site.text("count").is_empty() {
        assert_eq!(first.try_wait().expect("is ours"), None, "it has ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    first.kill().expect("is ours");
    first.wait().expect("ends");
    site.run(&["apply", "--yes"])
        .expect_success()
        .says("it is there and recorded");
    site.check_applied("a kill in the middle of a command");
}

#[test]
fn killed_at_each_place_of_a_destroy_the_next_one_goes_on_and_runs_nothing_twice() {
    for number in 1..100 {
        let Some(site) = Site::new() else { return };
        site.run(&["apply", "--yes"]).expect_success();
        let at = format!("*:{number}");
        let ran = site
            .sandbox
            .run_with(&["destroy", "--yes"], &[("DMP_FAIL_AT", &at)]);
        if ran.code == Some(0) {
            assert!(number > 5, "only {number} places");
            return;
        }
        assert_eq!(ran.code, None, "it was killed at {at}: {}", ran.err);
        site.run(&["destroy", "--yes"]).expect_success();
        site.check_destroyed(&at);
    }
    panic!("more places than were looked at");
}
