//! A stack in a folder of its own, with a cloud in a file, an identity and a home nobody else uses.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dmp_sdk::testing::{Cloud, State};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A sealed place for one stack.
pub struct Sandbox {
    folder: TempDir,
}

/// How a command ended.
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
}

impl Sandbox {
    /// A stack of one file.
    pub fn stack(hcl: &str) -> Self {
        let sandbox = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        std::fs::create_dir(sandbox.stack_folder()).expect("a folder");
        sandbox.write("main.hcl", hcl);
        sandbox
    }

    /// The sandbox's own folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The stack's folder.
    pub fn stack_folder(&self) -> PathBuf {
        self.path().join("stack")
    }

    /// Writes a file of the stack; `CLOUD` stands for the path of the cloud's file.
    pub fn write(&self, name: &str, text: &str) {
        let cloud = self.path().join("cloud.json");
        let text = text.replace("CLOUD", &cloud.display().to_string());
        std::fs::write(self.stack_folder().join(name), text).expect("writes");
    }

    /// The cloud.
    pub fn cloud(&self) -> Cloud {
        Cloud::at(&self.path().join("cloud.json"))
    }

    /// What the cloud holds.
    pub fn look(&self) -> State {
        self.cloud().look().expect("readable")
    }

    /// Runs dmp.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs dmp with more in its environment.
    #[must_use]
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let output = self
            .command(arguments)
            .envs(environment.iter().copied())
            .output()
            .expect("starts");
        Ran::from(output)
    }

    /// dmp, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmp-e2e"));
        command
            .args(arguments)
            .current_dir(self.stack_folder())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(std::process::Stdio::null());
        command
    }

    /// What a state holds, without what is minted, counted or measured anew in each run. Ids of the cloud stand as names.
    pub fn essence(&self) -> Json {
        let exported = self.run(&["state", "export"]).expect_success();
        let mut text = exported.out;
        // Longer ids first: `t-1` is the beginning of `t-12`.
        let things: BTreeMap<_, _> = self
            .look()
            .things
            .into_iter()
            .map(|(id, thing)| ((std::cmp::Reverse(id.len()), id), thing.name))
            .collect();
        for ((_, id), name) in things {
            text = text.replace(&format!("\"{id}\""), &format!("\"the id of {name}\""));
            text = text.replace(&format!("on {id}\""), &format!("on the id of {name}\""));
        }
        let mut state: Json = serde_json::from_str(&text).expect("JSON");
        for generated in ["serial", "hash", "lineage", "meta", "providers"] {
            state.as_object_mut().expect("an object").remove(generated);
        }
        state["outputs"] = without_sealed(&state["outputs"]);
        let instances = state["instances"].as_object_mut().expect("an object");
        for instance in instances.values_mut() {
            let members = instance.as_object_mut().expect("an object");
            members.remove("id");
            members.remove("create_milliseconds");
            // Minted.
            if members["address"]
                .as_str()
                .is_some_and(|address| address.starts_with("core_value"))
            {
                members["attributes"]["id"] = Json::Null;
                members.remove("chosen");
                members.remove("object_id");
            }
            // Sealed anew each time.
            if let Some(secret) = members["attributes"].pointer_mut("/object/secret") {
                *secret = Json::Null;
            }
            let attributes = members["attributes"].to_string();
            if attributes.contains("sealed") {
                members["attributes"] = without_sealed(&members["attributes"]);
            }
        }
        state
    }

    /// The same stack, cloud and home, in a folder of its own; the stack names its cloud by a relative path.
    pub fn copied(&self) -> Self {
        let copy = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let ran = Command::new("cp")
            .args(["-a", "--"])
            .arg(self.path().join("."))
            .arg(copy.path())
            .status();
        assert!(ran.is_ok_and(|status| status.success()), "a copy");
        copy
    }

    /// Applies, and expects it to go well.
    pub fn applied(self) -> Self {
        self.run(&["apply", "--yes"]).expect_success();
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }
}

impl Ran {
    /// Expects exit code 0.
    pub fn expect_success(self) -> Self {
        self.expect_code(0)
    }

    /// Expects an exit code.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "\n--- out\n{}\n--- err\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Expects a text on standard output.
    pub fn shows(self, text: &str) -> Self {
        assert!(
            self.out.contains(text),
            "no `{text}` in\n--- out\n{}\n--- err\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Expects a text on standard error.
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.err.contains(text),
            "no `{text}` in\n--- out\n{}\n--- err\n{}",
            self.out,
            self.err
        );
        self
    }

    /// Expects that a text is on neither.
    pub fn hides(self, text: &str) -> Self {
        assert!(
            !self.out.contains(text) && !self.err.contains(text),
            "`{text}` is shown\n{}\n{}",
            self.out,
            self.err
        );
        self
    }
}

fn without_sealed(json: &Json) -> Json {
    match json {
        Json::Object(members) if members.keys().any(|name| name.contains("sealed")) => Json::Null,
        Json::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), without_sealed(member)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Json::Array(items) => items.iter().map(without_sealed).collect(),
        other => other.clone(),
    }
}
