//! OpenSSH's `known_hosts`: which keys a person has accepted for a host before.
//!
//! Plain, wildcard, negated and hashed entries, `@revoked` and `@cert-authority` are understood.

use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ssh_config::pattern;

/// What a file says about one host.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Keys that are accepted, as `ssh-ed25519 AAAA…`.
    pub(crate) keys: Vec<String>,
    /// Keys that are refused whatever else holds.
    pub(crate) revoked: Vec<String>,
    /// Keys whose certificates are accepted.
    pub(crate) authorities: Vec<String>,
}

/// What the file says about a host by its [`name`] there; a file that is not there says nothing.
pub(crate) async fn look_up(file: &Path, name: &str) -> std::io::Result<Known> {
    match tokio::fs::read(file).await {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes), name)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::default()),
        Err(error) => Err(error),
    }
}

/// The name that a host goes by in the file: `[host]:port` unless the port is 22.
pub(crate) fn name(address: &str, port: u16) -> String {
    let address = address.to_ascii_lowercase();
    if port == 22 {
        address
    } else {
        format!("[{address}]:{port}")
    }
}

fn parse(text: &str, place: &str) -> Known {
    let mut known = Known::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(mut first) = words.next() else {
            continue;
        };
        let marker = first.starts_with('@').then_some(first);
        if marker.is_some() {
            let Some(hosts) = words.next() else { continue };
            first = hosts;
        }
        let (Some(algorithm), Some(data)) = (words.next(), words.next()) else {
            continue;
        };
        if first.starts_with('#') || !matches(first, place) {
            continue;
        }
        let key = format!("{algorithm} {data}");
        match marker {
            None => known.keys.push(key),
            Some("@revoked") => known.revoked.push(key),
            Some("@cert-authority") => known.authorities.push(key),
            Some(_) => {}
        }
    }
    known
}

fn matches(hosts: &str, place: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        return matches_hash(hashed, place).unwrap_or(false);
    }
    let mut matched = false;
    for written in hosts.split(',') {
        match written.strip_prefix('!') {
            Some(refused) if pattern::matches(refused.as_bytes(), place.as_bytes()) => {
                return false;
            }
            Some(_) => {}
            None => {
                let written = written.to_ascii_lowercase();
                matched |= pattern::matches(written.as_bytes(), place.as_bytes());
            }
        }
    }
    matched
}

fn matches_hash(hashed: &str, place: &str) -> Option<bool> {
    let (salt, digest) = hashed.split_once('|')?;
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        &STANDARD.decode(salt).ok()?,
    );
    let digest = STANDARD.decode(digest).ok()?;
    Some(hmac::verify(&key, place.as_bytes(), &digest).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_wildcard_negated_revoked_and_other_ports_are_told_apart() {
        let text = "# a comment\n\
            Node1,10.0.0.1 ssh-ed25519 AAAA1 comment\n\
            *.example.org,!bad.example.org ssh-rsa AAAA2\n\
            [node1]:2222 ssh-ed25519 AAAA3\n\
            @revoked node1 ssh-rsa AAAA4\n\
            @cert-authority * ssh-rsa AAAA5\n";
        let keys = |host: &str, port| parse(text, &name(host, port)).keys;
        assert_eq!(keys("node1", 22), ["ssh-ed25519 AAAA1"]);
        assert_eq!(keys("NODE1", 2222), ["ssh-ed25519 AAAA3"]);
        assert_eq!(keys("a.example.org", 22), ["ssh-rsa AAAA2"]);
        assert!(keys("bad.example.org", 22).is_empty());
        assert_eq!(parse(text, "node1").revoked, ["ssh-rsa AAAA4"]);
        assert_eq!(parse(text, "any").authorities, ["ssh-rsa AAAA5"]);
    }

    /// An entry as `ssh-keygen -H` writes it.
    #[test]
    fn a_hashed_entry_names_its_host_and_no_other() {
        let salt = [7_u8; 20];
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        let digest = hmac::sign(&key, b"[node1]:2222");
        let text = format!(
            "|1|{}|{} ssh-ed25519 AAAA\n",
            STANDARD.encode(salt),
            STANDARD.encode(digest)
        );
        assert_eq!(parse(&text, &name("node1", 2222)).keys.len(), 1);
        assert!(parse(&text, &name("node2", 2222)).keys.is_empty());
    }
}
