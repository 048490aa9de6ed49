//! Named places at which a test kills the process. Without the feature `fail-points` they are nothing.

/// A place where dmp may be killed. With `DMP_FAIL_AT=NAME:N` the process ends at its N-th pass of that name, with `*`
/// for any name; with `DMP_FAIL_LOG=FILE` every pass is noted.
pub fn point(name: &str) {
    #[cfg(feature = "fail-points")]
    armed::pass(name);
    #[cfg(not(feature = "fail-points"))]
    let _ = name;
}

#[cfg(feature = "fail-points")]
mod armed {
    use std::io::Write;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static LOG: Mutex<()> = Mutex::new(());

    pub(super) fn pass(name: &str) {
        if let Ok(path) = std::env::var("DMP_FAIL_LOG") {
            let _guard = LOG.lock();
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            if let Ok(mut file) = file {
                let _ = writeln!(file, "{name}");
            }
        }
        let Ok(wanted) = std::env::var("DMP_FAIL_AT") else {
            return;
        };
        let (wanted, number) = wanted.rsplit_once(':').unwrap_or((wanted.as_str(), "1"));
        if wanted == "*" || wanted == name {
            let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
            if number.parse() == Ok(passed) {
                // SIGKILL, as `kill -9` from outside: nothing is flushed, no destructor runs.
                let pid = std::process::id().to_string();
                let _ = std::process::Command::new("kill")
                    .args(["-9", &pid])
                    .status();
                std::process::abort();
            }
        }
    }
}
