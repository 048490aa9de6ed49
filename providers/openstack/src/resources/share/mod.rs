//! Manila: file systems that several machines mount. Checked against Manila 15 (Zed): `manila/api/v1/shares.py`,
//! `manila/api/v2/shares.py`, `manila/api/v2/share_accesses.py`.

pub(crate) mod access;
mod file_system;

pub(crate) use file_system::Share;
