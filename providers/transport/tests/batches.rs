//! Writing: detached batches against a real sshd, through cuts, kills and deadlines.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dmp_sdk::{Batch, BatchItem, ItemEnd, Machine, Machines, Report, Script, Step, Unreachable};
use dmp_testkit::{Sshd, is_alive, kill, options, script, short, ssh, until};
use dmp_transport::{Options, Ssh};
use tokio::sync::mpsc;

const SECOND: Duration = Duration::from_secs(1);

fn item(key: &str, steps: Vec<Step>) -> BatchItem {
    BatchItem {
        key: key.into(),
        label: format!("host_command.{key}"),
        steps,
        within: None,
        read: Vec::new(),
        after: Vec::new(),
    }
}

fn batch(id: &str, items: Vec<BatchItem>) -> Batch {
    Batch {
        id: id.into(),
        items,
    }
}

/// Runs a batch to its end and gives what was reported.
async fn run(ssh: &Ssh, on: &Machine, batch: &Batch) -> (Result<(), Unreachable>, Vec<Report>) {
    let (sender, receiver) = mpsc::channel(4);
    let collecting = tokio::spawn(collect(receiver));
    let result = ssh.run(on, batch, sender).await;
    (result, collecting.await.expect("no panic"))
}

async fn settle(ssh: &Ssh, on: &Machine, id: &str) -> (Result<bool, Unreachable>, Vec<Report>) {
    let (sender, receiver) = mpsc::channel(4);
    let collecting = tokio::spawn(collect(receiver));
    let result = ssh.settle(on, id, sender).await;
    (result, collecting.await.expect("no panic"))
}

async fn collect(mut receiver: mpsc::Receiver<Report>) -> Vec<Report> {
    let mut reports = Vec::new();
    while let Some(report) = receiver.recv().await {
        reports.push(report);
    }
    reports
}

/// A step that leaves a line in a file, waits until another file is there, and leaves a second line.
fn gated(on: &Machine, marks: &Path, gate: &Path) -> Step {
    let run = script(
        "echo begun >>\"$marks\"; while [ ! -e \"$gate\" ]; do sleep 0.05; done; echo ended >>\"$marks\"",
    )
    .var("marks", marks.display().to_string())
    .var("gate", gate.display().to_string());
    Step::new("wait at the gate", on, run)
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

#[tokio::test]
async fn a_batch_runs_its_steps_reads_and_gives_in_one_exchange() {
    for sshd in Sshd::with_each_shell() {
        let (ssh, on) = (ssh(), sshd.machine());
        let file = sshd.path("file");
        let path = |script: Script| script.var("file", file.display().to_string());
        let mut write = item(
            "item/1",
            vec![
                Step::new(
                    "mint a token",
                    &on,
                    script("printf 'to\\0ken'; echo noise >&2"),
                )
                .giving(),
                Step::new("write it", &on, path(script("cat >\"$file\""))).taking(0),
                Step::new("do nothing", &on, script("exit 9")).unless(script(":")),
            ],
        );
        write.read = vec![path(script("cat \"$file\"")), script("echo no >&2; exit 4")];
        let mut next = item(
            "next",
            vec![Step::new("use", &on, script("cat >&2")).within(SECOND * 5)],
        );
        next.steps[0].run = script("cat >&2").stdin(*b"on stdin");
        next.after = vec![0];
        let began = Instant::now();
        let (result, reports) = run(&ssh, &on, &batch("b1", vec![write, next])).await;
        assert_eq!(result, Ok(()));
        assert!(began.elapsed() < 10 * SECOND);
        assert_eq!(
            short(&reports),
            [
                "item/1 S0",
                "item/1 E0=0",
                "item/1 S1",
                "item/1 E1=0",
                "item/1 S2",
                "item/1 E2=0 skipped",
                "item/1 Done",
                "next S0",
                "next E0=0",
                "next Done",
            ]
        );
        let output = |at: usize| match &reports[at] {
            Report::StepEnded { output, .. } => output.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (output(1).stdout.as_slice(), output(1).stderr.as_str()),
            (&b"to\0ken"[..], "noise\n")
        );
        assert_eq!(output(8).stderr, "on stdin");
        let Report::ItemEnded { read, .. } = &reports[6] else {
            panic!()
        };
        assert_eq!(read[0].stdout, b"to\0ken");
        assert_eq!((read[1].status, read[1].stderr.as_str()), (4, "no\n"));
        assert_eq!((ssh.counts().logins, ssh.counts().exchanges), (1, 1));

        // The log is for people, and holds what was not given away.
        let log = std::fs::read_to_string(sshd.path("state/b1/item%2F1.log")).expect("is there");
        assert!(
            log.contains("host_command.item/1")
                && log.contains("== write it")
                && log.contains("noise")
        );
        assert!(!log.contains("to\0ken"));

        // What has ended is only told again, also after dmp was started anew.
        let (again, told) = run(&dmp_testkit::ssh(), &on, &batch("b1", Vec::new())).await;
        assert_eq!((again, short(&told)), (Ok(()), short(&reports)));
        ssh.forget(&on, &["b1".into()]).await.expect("is forgotten");
        assert!(!sshd.path("state/b1").exists());
        let left: Vec<_> = std::fs::read_dir(sshd.path("run"))
            .expect("is there")
            .flatten()
            .collect();
        assert!(
            left.iter()
                .all(|entry| entry.file_name().to_string_lossy().starts_with('@')),
            "{left:?}"
        );
    }
}

#[tokio::test]
async fn after_a_failed_step_the_rest_is_left_out_but_what_is_there_is_read() {
    for sshd in Sshd::with_each_shell() {
        let (ssh, on) = (ssh(), sshd.machine());
        let mut failing = item(
            "failing",
            vec![
                Step::new("one", &on, script("echo 1")),
                Step::new("two", &on, script("echo broken >&2; exit 7")),
                Step::new("three", &on, script("echo 3")),
            ],
        );
        failing.read = vec![script("echo read")];
        let mut needing = item("needing", vec![Step::new("x", &on, script(":"))]);
        needing.after = vec![0];
        needing.read = vec![script(":")];
        let mut last = item("last", vec![Step::new("x", &on, script(":"))]);
        last.after = vec![1];
        let free = item("free", vec![Step::new("syntax", &on, script("if if"))]);
        let (result, reports) =
            run(&ssh, &on, &batch("b", vec![failing, needing, free, last])).await;
        assert_eq!(result, Ok(()));
        let short = short(&reports);
        assert_eq!(
            short[..7],
            [
                "failing S0",
                "failing E0=0",
                "failing S1",
                "failing E1=7",
                "failing Failed(1)",
                "needing Skipped",
                "free S0"
            ]
        );
        assert_eq!(short[8..], ["free Failed(0)", "last Skipped"]);
        let Report::ItemEnded { read, .. } = &reports[4] else {
            panic!()
        };
        assert_eq!(read[0].stdout, b"read\n");
        let Report::StepEnded { output, .. } = &reports[3] else {
            panic!()
        };
        assert_eq!(output.stderr, "broken\n");
    }
}

#[tokio::test]
async fn a_step_that_does_not_end_is_ended_with_all_that_it_started() {
    for (shell, sshd) in Sshd::with_each_shell().into_iter().enumerate() {
        let (ssh, on) = (ssh(), sshd.machine());
        let pids = sshd.path("pids");
        // One shell that is deaf to the first signal is enough: the grace takes ten seconds.
        let endless = script(
            "sleep 600 & echo $! >\"$pids\"; echo $$ >>\"$pids\"; [ \"$deaf\" = no ] || trap '' TERM; wait; sleep 600",
        )
        .var("deaf", if shell == 0 { "yes" } else { "no" })
        .var("pids", pids.display().to_string());
        let began = Instant::now();
        let step = Step::new("endless", &on, endless).within(SECOND);
        let (result, reports) = run(&ssh, &on, &batch("b", vec![item("i", vec![step])])).await;
        assert_eq!(result, Ok(()));
        assert!(began.elapsed() < 25 * SECOND);
        let Report::StepEnded { output, .. } = &reports[1] else {
            panic!()
        };
        assert_eq!(output.status, 124);
        assert!(
            output.stderr.contains("not done within 1 s"),
            "{}",
            output.stderr
        );
        assert!(matches!(
            &reports[2],
            Report::ItemEnded {
                end: ItemEnd::Failed(0),
                ..
            }
        ));
        let text = std::fs::read_to_string(pids).expect("is there");
        assert_eq!(text.lines().count(), 2);
        for pid in text.lines() {
            assert!(!is_alive(pid.parse().expect("a number")), "{pid} is alive");
        }
    }
}

#[tokio::test]
async fn a_cut_connection_is_attached_to_again_and_the_step_ran_once() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    let on = sshd.machine();
    let (marks, gate) = (sshd.path("marks"), sshd.path("gate"));
    let lines_told: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&lines_told);
    let ssh = Ssh::new(Options {
        progress: Arc::new(move |_, line| told.lock().expect("no panic").push(line.to_owned())),
        ..options()
    });
    let steps = vec![
        Step::new("first", &on, script("echo out")).giving(),
        gated(&on, &marks, &gate),
        Step::new("last", &on, script(":")),
    ];
    let batch = batch("b", vec![item("i", steps)]);
    let running = {
        let (ssh, on) = (ssh.clone(), on.clone());
        tokio::spawn(async move { run(&ssh, &on, &batch).await })
    };
    until("the step begins", || lines(&marks) == 1).await;
    sshd.cut_connections();
    // The server itself restarts as well, and is away for a while.
    sshd.stop();
    tokio::time::sleep(SECOND).await;
    sshd.start_again();
    tokio::time::sleep(SECOND).await;
    std::fs::write(&gate, "").expect("writable");
    let (result, reports) = running.await.expect("no panic");
    assert_eq!(result, Ok(()));
    assert_eq!(
        short(&reports),
        [
            "i S0", "i E0=0", "i S1", "i E1=0", "i S2", "i E2=0", "i Done"
        ]
    );
    assert_eq!(lines(&marks), 2);
    assert!(ssh.counts().logins >= 2);
    let told = lines_told.lock().expect("no panic").join("\n");
    assert!(
        told.contains("the batch goes on there, connects again"),
        "{told}"
    );
}

#[tokio::test]
async fn a_batch_whose_client_was_killed_goes_on_and_is_settled_by_the_next() {
    let Some(sshd) = Sshd::start() else { return };
    let on = sshd.machine();
    let (marks, gate) = (sshd.path("marks"), sshd.path("gate"));
    let mut one = item("i", vec![gated(&on, &marks, &gate)]);
    one.read = vec![script("cat \"$marks\"").var("marks", marks.display().to_string())];
    let batch = batch("b", vec![one]);
    let running = {
        let on = on.clone();
        tokio::spawn(async move { run(&ssh(), &on, &batch).await })
    };
    until("the step begins", || lines(&marks) == 1).await;
    running.abort();
    let _ = running.await;
    sshd.cut_connections();
    std::fs::write(&gate, "").expect("writable");
    let (known, reports) = settle(&ssh(), &on, "b").await;
    assert_eq!(known, Ok(true));
    assert_eq!(short(&reports), ["i S0", "i E0=0", "i Done"]);
    let Report::ItemEnded { read, .. } = &reports[2] else {
        panic!()
    };
    assert_eq!(read[0].stdout, b"begun\nended\n");
    assert_eq!(lines(&marks), 2);
}

#[tokio::test]
async fn a_batch_that_never_began_is_unknown_and_can_not_begin_any_more() {
    let Some(sshd) = Sshd::start() else { return };
    let (ssh, on) = (ssh(), sshd.machine());
    let marks = sshd.path("marks");
    assert_eq!(settle(&ssh, &on, "b").await.0, Ok(false));
    assert_eq!(settle(&ssh, &on, "b").await.0, Ok(false));
    // A start that was on its way all the time comes too late.
    let step = Step::new(
        "x",
        &on,
        script("echo >\"$marks\"").var("marks", marks.display().to_string()),
    );
    let (result, reports) = run(&ssh, &on, &batch("b", vec![item("i", vec![step])])).await;
    assert!(
        matches!(&result, Err(Unreachable::NoCommands { why, .. }) if why.contains("never begun")),
        "{result:?}"
    );
    assert!(reports.is_empty() && !marks.exists());
    ssh.forget(&on, &["b".into()]).await.expect("is forgotten");
    assert_eq!(settle(&ssh, &on, "b").await.0, Ok(false));
}

#[tokio::test]
async fn a_killed_runner_leaves_interrupted_and_skipped_items() {
    for sshd in Sshd::with_each_shell() {
        let on = sshd.machine();
        let (marks, gate) = (sshd.path("marks"), sshd.path("gate"));
        let items = vec![
            item("done", vec![Step::new("x", &on, script(":"))]),
            item("flying", vec![gated(&on, &marks, &gate)]),
            item("waiting", vec![Step::new("x", &on, script(":"))]),
        ];
        let batch = batch("b", items);
        let running = {
            let on = on.clone();
            tokio::spawn(async move { run(&ssh(), &on, &batch).await })
        };
        until("the step begins", || lines(&marks) == 1).await;
        kill(sshd.runner("b").expect("a claim"), "KILL");
        tokio::time::sleep(SECOND / 2).await;
        // The step itself is alive: it is waited for, not started again beside itself.
        assert!(!running.is_finished());
        std::fs::write(&gate, "").expect("writable");
        let (result, reports) = running.await.expect("no panic");
        assert_eq!(result, Ok(()));
        assert_eq!(
            short(&reports)[2..],
            [
                "done Done",
                "flying S0",
                "flying Interrupted",
                "waiting Skipped"
            ]
        );
        assert_eq!(lines(&marks), 2);
    }
}

/// The journal of a machine that went down in the middle, as it is found after the boot.
#[tokio::test]
async fn a_reboot_in_the_middle_is_told_as_such() {
    let Some(sshd) = Sshd::start() else { return };
    let home = sshd.path("state/b");
    std::fs::create_dir_all(&home).expect("writable");
    let journal = "B 1 1 1 another-boot b@spool1\nN 0 a\nN 1 b\nN 2 c\nS 0 0\nE 0 0 0 10 0 2 a\nR 0 0 0\n\
                   I 0 D -\nS 1 0\nE 1 0 0";
    std::fs::write(home.join("journal"), journal).expect("writable");
    let (known, reports) = settle(&ssh(), &sshd.machine(), "b").await;
    assert_eq!(known, Ok(true));
    assert_eq!(
        short(&reports),
        [
            "a S0",
            "a E0=0",
            "a Done",
            "b S0",
            "b Interrupted",
            "c Skipped"
        ]
    );
    let Report::ItemEnded { read, .. } = &reports[2] else {
        panic!()
    };
    assert!(read.is_empty(), "what was read went with the memory");
    // Told the same way a second time.
    assert_eq!(
        settle(&ssh(), &sshd.machine(), "b").await.1.len(),
        reports.len()
    );
}

#[tokio::test]
async fn two_batches_on_one_machine_run_one_after_the_other() {
    let Some(sshd) = Sshd::start() else { return };
    let on = sshd.machine();
    let (marks, gate) = (sshd.path("marks"), sshd.path("gate"));
    let first = batch("first", vec![item("i", vec![gated(&on, &marks, &gate)])]);
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines_told = Arc::clone(&told);
    let ssh = Ssh::new(Options {
        progress: Arc::new(move |_, line| {
            lines_told.lock().expect("no panic").push(line.to_owned());
        }),
        ..options()
    });
    let start = |batch: Batch| {
        let (ssh, on) = (ssh.clone(), on.clone());
        tokio::spawn(async move { run(&ssh, &on, &batch).await })
    };
    let one = start(first);
    until("the first begins", || lines(&marks) == 1).await;
    let order = script("cp \"$marks\" \"$marks.seen\"").var("marks", marks.display().to_string());
    let two = start(batch(
        "second",
        vec![item("j", vec![Step::new("look", &on, order)])],
    ));
    until("the second says that it waits", || {
        told.lock()
            .expect("no panic")
            .iter()
            .any(|line| line.contains("waits for batch first"))
    })
    .await;
    std::fs::write(&gate, "").expect("writable");
    assert_eq!(one.await.expect("no panic").0, Ok(()));
    let (result, reports) = two.await.expect("no panic");
    assert_eq!((result, short(&reports).len()), (Ok(()), 3));
    assert_eq!(lines(&sshd.path("marks.seen")), 2);
}

#[tokio::test]
async fn the_same_batch_started_twice_at_once_runs_once() {
    let Some(sshd) = Sshd::start() else { return };
    let on = sshd.machine();
    let marks = sshd.path("marks");
    let step = script("echo x >>\"$marks\"; sleep 0.2").var("marks", marks.display().to_string());
    let batch = batch("b", vec![item("i", vec![Step::new("x", &on, step)])]);
    let starts = (0..6).map(|_| {
        let (on, batch) = (on.clone(), batch.clone());
        tokio::spawn(async move { run(&ssh(), &on, &batch).await })
    });
    for start in starts.collect::<Vec<_>>() {
        let (result, reports) = start.await.expect("no panic");
        assert_eq!(
            (result, short(&reports)),
            (
                Ok(()),
                vec!["i S0".into(), "i E0=0".into(), "i Done".into()]
            )
        );
    }
    assert_eq!(lines(&marks), 1);
}

#[tokio::test]
async fn payloads_are_for_their_owner_alone_and_secrets_in_no_process_list() {
    let Some(sshd) = Sshd::start() else { return };
    let on = sshd.machine();
    let (marks, gate) = (sshd.path("marks"), sshd.path("gate"));
    let mut step = gated(&on, &marks, &gate);
    step.run = step
        .run
        .var("token", "hunter2-variable")
        .env("EXPORTED".into(), "hunter2-exported".into())
        .stdin(*b"hunter2-stdin");
    let batch = batch("b", vec![item("i", vec![step])]);
    let running = {
        let on = on.clone();
        tokio::spawn(async move { run(&ssh(), &on, &batch).await })
    };
    until("the step begins", || lines(&marks) == 1).await;
    let mut seen = 0;
    for place in ["run", "state"] {
        check_modes(&sshd.path(place), &mut seen);
    }
    assert!(seen > 8, "{seen} files");
    for entry in std::fs::read_dir("/proc").expect("is there").flatten() {
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&cmdline).contains("hunter2"));
    }
    let runner = sshd.runner("b").expect("a claim");
    let environment = std::fs::read(format!("/proc/{runner}/environ")).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&environment).contains("hunter2"));
    std::fs::write(&gate, "").expect("writable");
    assert_eq!(running.await.expect("no panic").0, Ok(()));
    // What held secrets is gone with the batch's end, not only when it is forgotten.
    let mut held = Vec::new();
    find(&sshd.path("run"), b"hunter2", &mut held);
    find(&sshd.path("state"), b"hunter2", &mut held);
    assert!(held.is_empty(), "{held:?}");
}

fn check_modes(path: &Path, seen: &mut usize) {
    let mode = std::fs::metadata(path)
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "{} is open to others", path.display());
    *seen += 1;
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        check_modes(&entry.path(), seen);
    }
}

fn find(path: &Path, word: &[u8], held: &mut Vec<String>) {
    if std::fs::read(path).is_ok_and(|bytes| bytes.windows(word.len()).any(|window| window == word))
    {
        held.push(path.display().to_string());
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        find(&entry.path(), word, held);
    }
}

#[tokio::test]
async fn a_batch_that_can_not_be_written_down_does_nothing_and_says_why() {
    let Some(sshd) = Sshd::start() else { return };
    let on = sshd.machine();
    let marks = sshd.path("marks");
    // Something stands where the journal's directory would be.
    std::fs::create_dir_all(sshd.path("state")).expect("writable");
    std::fs::write(sshd.path("state/b"), "").expect("writable");
    let step = script("echo x >>\"$marks\"").var("marks", marks.display().to_string());
    let batch = batch("b", vec![item("i", vec![Step::new("x", &on, step)])]);
    let (result, _) = run(&ssh(), &on, &batch).await;
    let error = result.expect_err("no journal");
    assert!(
        error.to_string().contains("the runner did not start"),
        "{error}"
    );
    assert!(!marks.exists());
}

#[tokio::test]
async fn an_item_ends_when_its_time_is_over_and_is_read_all_the_same() {
    for sshd in Sshd::with_each_shell() {
        let (ssh, on) = (ssh(), sshd.machine());
        let file = sshd.path("file");
        let path = |script: Script| script.var("file", file.display().to_string());
        let mut slow = item(
            "slow",
            vec![
                Step::new("write", &on, path(script("echo there >\"$file\""))),
                Step::new("wait", &on, script("sleep 1.5")),
                Step::new("wait on", &on, script("sleep 60")),
                Step::new("never", &on, path(script("rm \"$file\""))),
            ],
        );
        slow.within = Some(SECOND * 3);
        slow.read = vec![path(script("cat \"$file\""))];
        let next = item("next", vec![Step::new("go on", &on, script("sleep 1"))]);
        let began = Instant::now();
        let (result, reports) = run(&ssh, &on, &batch("b1", vec![slow, next])).await;
        assert_eq!(result, Ok(()));
        assert!(began.elapsed() < 30 * SECOND);
        let ended = |item: &str| {
            let mut ends = reports.iter().filter_map(|report| match report {
                Report::ItemEnded {
                    item: found,
                    end,
                    read,
                } if found == item => Some((end.clone(), read.clone())),
                _ => None,
            });
            ends.next().expect("it ended")
        };
        let (end, read) = ended("slow");
        assert_eq!(end, ItemEnd::Failed(2));
        assert_eq!(read[0].stdout, b"there\n");
        assert_eq!(ended("next").0, ItemEnd::Done);
        let late = reports.iter().find_map(|report| match report {
            Report::StepEnded {
                item,
                step: 2,
                output,
                ..
            } if item == "slow" => Some(output.clone()),
            _ => None,
        });
        let late = late.expect("it ended");
        assert_eq!(late.status, 124);
        assert!(late.stderr.contains(dmp_sdk::TIME_IS_OVER), "{late:?}");
    }
}

/// A machine that boots for the first time: cloud-init says what a file tells it to say.
fn with_cloud_init() -> Option<Sshd> {
    let mut sshd = Sshd::start()?;
    let (bin, folder, status) = (sshd.path("bin"), sshd.path("cloud"), sshd.path("status"));
    for path in [&bin, &folder] {
        std::fs::create_dir(path).expect("writable");
    }
    let program = format!("#!/bin/sh\ncat {}\n", status.display());
    std::fs::write(bin.join("cloud-init"), program).expect("writable");
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("cloud-init"), runs).expect("is ours");
    let file = sshd.path("config");
    let config = std::fs::read_to_string(&file).expect("is there");
    let more = format!(
        "SetEnv PATH={}:/usr/bin:/bin DMP_CLOUD_INIT_DIR={} ",
        bin.display(),
        folder.display()
    );
    std::fs::write(&file, config.replace("SetEnv ", &more)).expect("writable");
    sshd.stop();
    sshd.start_again();
    Some(sshd)
}

#[tokio::test]
async fn a_write_waits_for_the_end_of_cloud_init_and_says_so() {
    let Some(sshd) = with_cloud_init() else {
        return;
    };
    let (on, status, made) = (sshd.machine(), sshd.path("status"), sshd.path("made"));
    std::fs::write(&status, "status: running\n").expect("writable");
    let lines_told: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&lines_told);
    let ssh = Ssh::new(Options {
        progress: Arc::new(move |_, line| told.lock().expect("no panic").push(line.to_owned())),
        ..options()
    });
    let make = script(": >\"$made\"").var("made", made.display().to_string());
    let work = batch("b", vec![item("i", vec![Step::new("make", &on, make)])]);
    let running = {
        let (ssh, on) = (ssh.clone(), on.clone());
        tokio::spawn(async move { run(&ssh, &on, &work).await })
    };
    until("it is told", || {
        !lines_told.lock().expect("no panic").is_empty()
    })
    .await;
    tokio::time::sleep(SECOND * 2).await;
    assert!(!made.exists(), "nothing is done before");
    std::fs::write(&status, "status: done\n").expect("writable");
    let (result, reports) = running.await.expect("no panic");
    assert_eq!(result, Ok(()));
    assert_eq!(short(&reports).last().map(String::as_str), Some("i Done"));
    let told = lines_told.lock().expect("no panic").clone();
    assert_eq!(told, ["waits for cloud-init to end"]);
}

#[tokio::test]
async fn cloud_init_without_end_is_not_waited_for_for_ever_and_one_that_is_through_costs_nothing() {
    let Some(sshd) = with_cloud_init() else {
        return;
    };
    let (on, status) = (sshd.machine(), sshd.path("status"));
    std::fs::write(&status, "status: running\n").expect("writable");
    let ssh = Ssh::new(Options {
        boot_wait: SECOND * 2,
        ..options()
    });
    let work = |id: &str| {
        batch(
            id,
            vec![item("i", vec![Step::new("nothing", &on, script(":"))])],
        )
    };
    let (result, _) = run(&ssh, &on, &work("b1")).await;
    let said = result.expect_err("is over").to_string();
    assert!(said.contains("cloud-init still runs after 2 s"), "{said}");
    // One may say for itself how long that takes.
    let own = Machine {
        boot_seconds: Some(1),
        ..on.clone()
    };
    let (result, _) = run(&ssh, &own, &work("b0")).await;
    let said = result.expect_err("is over").to_string();
    assert!(said.contains("cloud-init still runs after 1 s"), "{said}");
    // At its end cloud-init leaves this file, and is not asked any more.
    std::fs::write(sshd.path("cloud/result.json"), "{}").expect("writable");
    let (result, _) = run(&ssh, &on, &work("b2")).await;
    assert_eq!(result, Ok(()));
}
