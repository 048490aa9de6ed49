//! A lab in a folder of its own.

#![allow(dead_code, unused_imports, reason = "not every test needs all of it")]

mod client;
mod openstack;

use std::path::Path;

use dmp_lab::{Lab, LabOptions, Site, Written};
use serde_json::Value;

pub(crate) use client::{Answer, Client, FORM};
pub(crate) use openstack::{Cloud, header, log_in, password};

/// A lab that runs beside a test, until the test ends.
pub(crate) struct Running {
    pub(crate) written: Written,
    lab: Option<Lab>,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    pub(crate) fn begin(folder: &Path, site: Site) -> Running {
        Running::told(folder, Some(site), dmp_lab::More::default())
    }

    /// A lab that is told of more than it began as.
    pub(crate) fn told(folder: &Path, site: Option<Site>, more: dmp_lab::More) -> Running {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let options = LabOptions {
            folder: folder.to_owned(),
            listen: "127.0.0.1:0".parse().expect("an address"),
            site,
            more,
            has_machines: false,
        };
        let lab = runtime.block_on(Lab::serve(options)).expect("a lab");
        Running {
            written: lab.written().clone(),
            lab: Some(lab),
            runtime,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::of(
            &self.written,
            &format!("Authorization: PVEAPIToken={}", self.written.token),
        )
    }

    /// Returns a client for the lab's own calls.
    pub(crate) fn control(&self) -> Client {
        Client::of(
            &self.written,
            &format!("Authorization: Bearer {}", self.written.key),
        )
    }

    /// Returns what the lab's status says of a machine.
    pub(crate) fn machine(&self, name: &str) -> Value {
        let status = self.control().call("GET", "/lab/status", "", b"").value();
        let machines = status["machines"].as_array().expect("machines").clone();
        let found = machines.into_iter().find(|machine| machine["name"] == name);
        found.expect("it is there")
    }

    pub(crate) fn fault(&self, fault: &Value) {
        let answer = self.control().json("POST", "/lab/faults", fault);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) fn end(mut self) {
        if let Some(lab) = self.lab.take() {
            self.runtime.block_on(lab.end());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(lab) = self.lab.take() {
            self.runtime.block_on(lab.end());
        }
    }
}

/// What a lab of a test begins as, whose tasks are over soon.
pub(crate) fn quick(seed: u64) -> Site {
    Site {
        speed: 100.0,
        seed,
        ..Site::default()
    }
}

/// A lab in a folder that goes with it.
pub(crate) fn lab() -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::begin(&folder.path().join("lab"), quick(1));
    (folder, running)
}

/// Makes the image of a disk, as far as its header, and returns where it is.
pub(crate) fn disk_image(folder: &Path, bytes: u64) -> std::path::PathBuf {
    let mut header = b"QFI\xfb".to_vec();
    header.resize(24, 0);
    header.extend(bytes.to_be_bytes());
    header.resize(1024, 0);
    let path = folder.join("disk.qcow2");
    std::fs::write(&path, header).expect("written");
    path
}
