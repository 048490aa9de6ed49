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
