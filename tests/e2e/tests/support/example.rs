//! A copy of an example with the modules that it calls, as somebody has it in their home; the lab that it is served goes with it.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::Ran;

/// The copy.
pub(crate) struct Example {
    home: TempDir,
    folder: String,
}

impl Example {
    /// A copy of an example, told of these values.
    pub(crate) fn of(name: &str, values: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = format!("examples/{name}");
        for part in ["modules", &folder] {
            copy(&root.join(part), &home.path().join(part));
        }
        let example = Self { home, folder };
        example.tell(values);
        example
    }

    /// Tells it of other values.
    pub(crate) fn tell(&self, values: &str) {
        let path = self.home.path().join(&self.folder).join("site.auto.hcl");
        std::fs::write(path, values).expect("writable");
    }

    /// Runs dmp for it.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_dmp-e2e"))
            .args(["-C", &self.folder])
            .args(words)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env_remove("XDG_STATE_HOME")
            .output()
            .expect("dmp runs");
        Ran {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.run(&["lab", "stop"]);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let name = entry.file_name();
        let (from, to) = (entry.path(), to.join(&name));
        match from.is_dir() {
            true if name == ".dmp" => {}
            true => copy(&from, &to),
            false => drop(std::fs::copy(from, to).expect("copies")),
        }
    }
}
