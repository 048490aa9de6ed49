//! What others need to find the OpenStack of a lab: a `clouds.yaml` in its folder, which its owner alone can read.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::estate::{Ground, Login};
use crate::{Trouble, folder};

/// The name of the cloud in `clouds.yaml`.
pub(crate) const CLOUD: &str = "lab";

/// The part of `lab.json` that is about OpenStack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Written {
    /// Keystone.
    pub auth_url: String,
    /// The only region.
    pub region: String,
    /// The file for clients. Its cloud `lab` is a project's member by an application credential, `lab-member` the same by
    /// a password, `lab-admin` the administrator.
    pub clouds_file: PathBuf,
    /// The application credential.
    pub application_credential_id: String,
    /// Its secret.
    pub application_credential_secret: String,
}

impl Written {
    /// Writes the file for clients.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(crate) fn write(
        lab: &Path,
        base: &str,
        ca_file: &Path,
        ground: &Ground,
    ) -> Result<Written, Trouble> {
        let auth_url = format!("{base}/identity/v3");
        let region = &ground.site.region;
        let logins = &ground.logins;
        let cloud = |auth_type: &str, auth: serde_json::Value| {
            let mut auth = auth;
            auth["auth_url"] = json!(auth_url);
            json!({
                "auth_type": auth_type, "auth": auth, "region_name": region, "cacert": ca_file, "identity_api_version": "3",
            })
        };
        let by_password = |login: &Login| {
            cloud(
                "password",
                json!({
                    "username": login.name, "password": login.password, "project_name": login.name,
                    "user_domain_name": "Default", "project_domain_name": "Default",
                }),
            )
        };
        let credential = json!({
            "application_credential_id": logins.credential,
            "application_credential_secret": logins.credential_secret,
        });
        let clouds = json!({ "clouds": {
            CLOUD: cloud("v3applicationcredential", credential),
            "lab-member": by_password(&logins.member),
            "lab-admin": by_password(&logins.admin),
        } });
        let clouds_file = lab.join("clouds.yaml");
        let text = serde_yaml_ng::to_string(&clouds).map_err(|error| {
            Trouble::Refused(format!("`clouds.yaml` can't be written: {error}"))
        })?;
        folder::write_private(&clouds_file, text.as_bytes())?;
        Ok(Written {
            auth_url,
            region: region.clone(),
            clouds_file,
            application_credential_id: logins.credential.clone(),
            application_credential_secret: logins.credential_secret.clone(),
        })
    }
}
