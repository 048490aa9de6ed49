//! Machines and networks at their worst, against a real sshd: shells that talk, servers that allow little, connections
//! that hang, are slow or break in the middle, and no room on the other side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dmp_sdk::{Batch, BatchItem, Machine, Machines, Script, Step, Unreachable};
use dmp_testkit::{Sshd, options, read, script, ssh};
use dmp_transport::{CopyError, Options, Piece, Ssh, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const SECOND: Duration = Duration::from_secs(1);

/// A relay on loopback in front of a server: slow, or cut off after a number of bytes to the server.
async fn relay(port: u16, pause: Duration, cut_after: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let own = listener.local_addr().expect("is bound").port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("is there");
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            let endless = Arc::new(AtomicU64::new(u64::MAX));
            tokio::spawn(pass(near_in, far_out, pause, Arc::clone(&cut_after)));
            tokio::spawn(pass(far_in, near_out, pause, endless));
        }
    });
    own
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    pause: Duration,
    left: Arc<AtomicU64>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let count_left = left.load(Ordering::Relaxed);
        if count_left < count as u64 {
            // Both ends go with these halves.
            left.store(u64::MAX, Ordering::Relaxed);
            break;
        }
        left.store(count_left - count as u64, Ordering::Relaxed);
        tokio::time::sleep(pause).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

fn batch(id: &str, on: &Machine, run: Script) -> Batch {
    Batch {
        id: id.into(),
        items: vec![BatchItem {
            key: "k".into(),
            label: "test".into(),
            steps: vec![Step::new("work", on, run)],
            within: None,
            read: Vec::new(),
            after: Vec::new(),
        }],
    }
}

async fn run(ssh: &Ssh, on: &Machine, batch: &Batch) -> Result<(), Unreachable> {
    let (sender, mut reports) = mpsc::channel(1024);
    let drain = async { while reports.recv().await.is_some() {} };
    tokio::join!(ssh.run(on, batch, sender), drain).0
}

/// Whether the login shell took the limit for files; one that is not bash reads another file.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
async fn is_limited(ssh: &Ssh, on: &Machine) -> bool {
    let outputs = read(ssh, on, &[script("ulimit -f")]).await;
    let is_limited = outputs[0].text().trim() != "unlimited";
    if !is_limited {
        eprintln!("SKIPPED: the login shell reads no .bashrc");
        assert!(std::env::var_os("CI").is_none(), "CI logs in by bash");
    }
    is_limited
}

#[tokio::test]
async fn a_shell_that_prints_by_itself_changes_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let noise =
        "echo 'Welcome to this machine!'; echo 'Mind the step.' >&2; printf 'no end of line'\n";
    std::fs::write(sshd.path(".bashrc"), noise).expect("writable");
    std::fs::write(sshd.path(".profile"), noise).expect("writable");
    let (ssh, on) = (ssh(), sshd.machine());
    let outputs = read(&ssh, &on, &[script("echo out; echo err >&2")]).await;
    assert_eq!(
        (outputs[0].text().as_ref(), outputs[0].stderr.as_str()),
        ("out\n", "err\n")
    );
    let made = sshd.path("made");
    let work = script(": >\"$made\"").var("made", made.display().to_string());
    assert_eq!(run(&ssh, &on, &batch("b", &on, work)).await, Ok(()));
    assert!(made.exists());
}

#[tokio::test]
async fn one_session_at_a_time_is_enough() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    sshd.configure("MaxSessions 1");
    let (ssh, on) = (ssh(), sshd.machine());
    read(&ssh, &on, &[script(":")]).await;
    let readers = (0..6).map(|_| {
        let (ssh, on) = (ssh.clone(), on.clone());
        tokio::spawn(async move { read(&ssh, &on, &[script("sleep 0.1; echo ok")]).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.expect("no panic")[0].text(), "ok\n");
    }
    assert_eq!(run(&ssh, &on, &batch("b", &on, script(":"))).await, Ok(()));
}

#[tokio::test]
async fn a_server_that_takes_few_logins_at_once_lets_all_in_after_a_while() {
    let Some(mut sshd) = Sshd::start() else {
        return;
    };
    sshd.configure("MaxStartups 1");
    let on = sshd.machine();
    let readers = (0..8).map(|_| {
        let on = on.clone();
        tokio::spawn(async move { read(&ssh().patient(), &on, &[script("echo ok")]).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.expect("no panic")[0].text(), "ok\n");
    }
}

#[tokio::test]
async fn a_port_that_accepts_and_says_nothing_is_told_apart_from_one_that_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    let Some(sshd) = Sshd::start() else { return };
    let silent = Machine {
        port,
        ..sshd.machine()
    };
    let quick = Ssh::new(Options {
        connect_timeout: SECOND,
        ..options()
    });
    let began = Instant::now();
    let error = quick
        .read(&silent, &[], SECOND * 20)
        .await
        .expect_err("is silent");
    let said = error.to_string();
    assert!(
        said.contains("is open, but no SSH server answers within 1 s"),
        "{said}"
    );
    assert!(began.elapsed() < SECOND * 5);
    // One that says something else.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = quick
        .read(&silent, &[], SECOND * 20)
        .await
        .expect_err("is no SSH server");
    assert!(matches!(error, Unreachable::NoConnection { .. }), "{error}");
}

#[tokio::test]
async fn a_machine_that_boots_is_waited_for_as_long_as_its_connection_says() {
    let Some(sshd) = Sshd::start() else { return };
    let free = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = free.local_addr().expect("is bound").port();
    drop(free);
    let booting = |seconds| Machine {
        port,
        boot_seconds: Some(seconds),
        ..sshd.machine()
    };
    // By default it is waited for long, and by its own word a second.
    let began = Instant::now();
    let error = ssh().patient().read(&booting(1), &[], SECOND * 20).await;
    let error = error.expect_err("nobody is there");
    assert!(matches!(error, Unreachable::NoConnection { .. }), "{error}");
    assert!(began.elapsed() < SECOND * 5);
    // The other way round: it has booted when others are given up.
    let quick = Ssh::new(Options {
        boot_wait: Duration::ZERO,
        ..options()
    });
    let far = sshd.port;
    tokio::spawn(async move {
        tokio::time::sleep(SECOND * 2).await;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("binds");
        while let Ok((mut near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", far)).await;
            let mut far = far.expect("is there");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let on = booting(60);
    let outputs = read(&quick.patient(), &on, &[script("echo ok")]).await;
    assert_eq!(outputs[0].text(), "ok\n");
}

#[tokio::test]
async fn a_slow_network_is_only_slow() {
    let Some(sshd) = Sshd::start() else { return };
    let endless = Arc::new(AtomicU64::new(u64::MAX));
    let port = relay(sshd.port, Duration::from_millis(40), endless).await;
    let on = Machine {
        port,
        ..sshd.machine()
    };
    let ssh = ssh();
    let payload = vec![b'x'; 200_000];
    let outputs = read(&ssh, &on, &[script("cat").stdin(payload.clone())]).await;
    assert!(outputs[0].stdout == payload);
    assert_eq!(
        run(
            &ssh,
            &on,
            &batch("b", &on, script("cat >/dev/null").stdin(payload))
        )
        .await,
        Ok(())
    );
}

#[tokio::test]
async fn a_connection_that_breaks_while_a_batch_is_sent_is_made_again_and_the_work_is_done_once() {
    let Some(sshd) = Sshd::start() else { return };
    let cut_after = Arc::new(AtomicU64::new(u64::MAX));
    let port = relay(sshd.port, Duration::ZERO, Arc::clone(&cut_after)).await;
    let on = Machine {
        port,
        ..sshd.machine()
    };
    let (ssh, log, copy) = (ssh(), sshd.path("log-of-work"), sshd.path("copy"));
    read(&ssh, &on, &[script(":")]).await;
    let payload: Vec<u8> = (0..=255).cycle().take(2_000_000).collect();
    let work = script("echo once >>\"$log\"; cat >\"$copy\"")
        .var("log", log.display().to_string())
        .var("copy", copy.display().to_string())
        .stdin(payload.clone());
    cut_after.store(600_000, Ordering::Relaxed);
    assert_eq!(run(&ssh, &on, &batch("b", &on, work)).await, Ok(()));
    assert!(
        cut_after.load(Ordering::Relaxed) > u64::MAX / 2,
        "it was cut"
    );
    assert_eq!(std::fs::read_to_string(log).expect("is there"), "once\n");
    assert!(std::fs::read(copy).expect("is there") == payload);
    assert!(ssh.counts().logins >= 2);
}

#[tokio::test]
async fn a_machine_without_room_for_a_batch_does_nothing_and_says_why() {
    let Some(sshd) = Sshd::start() else { return };
    // No file of the session may be larger than 64 KiB: what a full disk does to a large one.
    std::fs::write(
        sshd.path(".bashrc"),
        "trap '' XFSZ 2>/dev/null; ulimit -f 64\n",
    )
    .expect("writable");
    let (ssh, on, made) = (ssh(), sshd.machine(), sshd.path("made"));
    if !is_limited(&ssh, &on).await {
        return;
    }
    let work = script(": >\"$made\"")
        .var("made", made.display().to_string())
        .stdin(vec![b'x'; 2_000_000]);
    let error = run(&ssh, &on, &batch("b", &on, work))
        .await
        .expect_err("has no room");
    assert!(
        error
            .to_string()
            .contains("does not fit into the memory there"),
        "{error}"
    );
    assert!(!made.exists(), "nothing was begun");
    // What is small goes through, and the reading never needed any room.
    let outputs = read(&ssh, &on, &[script("cat").stdin(vec![b'x'; 2_000_000])]).await;
    assert_eq!(outputs[0].stdout.len(), 2_000_000);
    assert_eq!(run(&ssh, &on, &batch("b2", &on, script(":"))).await, Ok(()));
}

#[tokio::test]
async fn a_copy_that_is_cut_off_goes_on_where_it_was() {
    let Some(sshd) = Sshd::start() else { return };
    let cut_after = Arc::new(AtomicU64::new(u64::MAX));
    let port = relay(sshd.port, Duration::ZERO, Arc::clone(&cut_after)).await;
    let on = Machine {
        port,
        ..sshd.machine()
    };
    let ssh = ssh();
    read(&ssh, &on, &[script(":")]).await;
    let content: Vec<u8> = (0..8_000_000_u32).map(|n| (n / 7) as u8).collect();
    let (here, there) = (sshd.path("here"), sshd.path("there"));
    std::fs::write(&here, &content).expect("writable");
    let target = Target {
        path: there.display().to_string(),
        mode: "600".into(),
        owner: None,
    };
    cut_after.store(5_000_000, Ordering::Relaxed);
    let copied = ssh
        .upload(&here, &on, &target, &|_, _| ())
        .await
        .expect("is copied");
    assert!(std::fs::read(&there).expect("is there") == content);
    assert!(ssh.counts().logins >= 2, "it was cut");
    assert!(
        copied.sent < 2 * copied.size,
        "not all was sent twice: {copied}"
    );
    let left = std::fs::read_dir(sshd.path(""))
        .expect("is there")
        .flatten();
    let parts = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(".dmp-part"));
    assert_eq!(parts.count(), 0);
}

#[tokio::test]
async fn a_copy_for_which_there_is_no_room_leaves_what_was_there() {
    let Some(sshd) = Sshd::start() else { return };
    std::fs::write(
        sshd.path(".bashrc"),
        "trap '' XFSZ 2>/dev/null; ulimit -f 64\n",
    )
    .expect("writable");
    let (ssh, on) = (ssh(), sshd.machine());
    if !is_limited(&ssh, &on).await {
        return;
    }
    let (here, there) = (sshd.path("here"), sshd.path("there"));
    std::fs::write(&here, vec![b'x'; 1_000_000]).expect("writable");
    std::fs::write(&there, "before").expect("writable");
    let target = Target {
        path: there.display().to_string(),
        mode: "600".into(),
        owner: None,
    };
    let error = ssh
        .upload(&here, &on, &target, &|_, _| ())
        .await
        .expect_err("has no room");
    assert!(matches!(error, CopyError::There(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&there).expect("is there"), "before");
}

#[tokio::test]
async fn a_persons_command_is_any_text_and_ends_with_who_waits_for_it() {
    for sshd in Sshd::with_each_shell() {
        let (ssh, on) = (ssh(), sshd.machine());
        let text = "echo \"it's 100% $((40 + 2))\"\nprintf 'a\\nb' >&2\ncat; exit 7";
        let (sender, mut pieces) = mpsc::channel(64);
        assert_eq!(ssh.run_once(&on, text, sender).await, Ok(7));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Out(bytes) => out.extend(bytes),
                Piece::Err(bytes) => err.extend(bytes),
            }
        }
        assert_eq!(
            (out.as_slice(), err.as_slice()),
            (&b"it's 100% 42\n"[..], &b"a\nb"[..])
        );

        let pid = sshd.path("pid");
        let text = format!("echo $$ >{}; sleep 120 & wait", pid.display());
        let running = {
            let (ssh, on) = (ssh.clone(), on.clone());
            let (sender, pieces) = mpsc::channel(64);
            tokio::spawn(async move {
                let ended = ssh.run_once(&on, &text, sender).await;
                drop(pieces);
                ended
            })
        };
        let read = || {
            std::fs::read_to_string(&pid)
                .ok()?
                .trim()
                .parse::<u32>()
                .ok()
        };
        dmp_testkit::until("it runs", || read().is_some()).await;
        running.abort();
        let remote = read().expect("is there");
        dmp_testkit::until("it ends", || !dmp_testkit::is_alive(remote)).await;
    }
}
