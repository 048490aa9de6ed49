//! What stands at a path of this machine.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use dmp_sdk::FetchFailure;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// What stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum There {
    /// Nothing.
    Nothing,
    /// A regular file.
    File {
        /// Permissions, in four octal digits.
        mode: String,
        /// SHA-256, in hexadecimal digits.
        sha256: String,
        /// The content, if it is text and not larger than [`MOST`].
        content: Option<String>,
    },
    /// A directory.
    Directory {
        /// Permissions, in four octal digits.
        mode: String,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
    /// A device, a socket or a pipe.
    Other,
}

impl There {
    /// What it is, in words.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Nothing => "not there".into(),
            Self::File { .. } => "a regular file".into(),
            Self::Directory { .. } => "a directory".into(),
            Self::Link { target } => format!("a symbolic link to `{target}`"),
            Self::Other => "a device, a socket or a pipe".into(),
        }
    }
}

/// Looks; a link is not followed.
pub(crate) fn look(path: &str) -> io::Result<There> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_nothing(&error) => return Ok(There::Nothing),
        Err(error) => return Err(error),
    };
    let kind = metadata.file_type();
    if kind.is_symlink() {
        let target = fs::read_link(path)?;
        return Ok(There::Link {
            target: target.display().to_string(),
        });
    }
    if kind.is_dir() {
        return Ok(There::Directory {
            mode: mode_of(&metadata),
        });
    }
    if !kind.is_file() {
        return Ok(There::Other);
    }
    let (sha256, content) = digest(path)?;
    Ok(There::File {
        mode: mode_of(&metadata),
        sha256,
        content,
    })
}

/// The answer to [`crate::wire::Question::Path`].
pub(crate) async fn answer(path: String) -> Result<Json, FetchFailure> {
    let refused = |words: String| FetchFailure::Refused(format!("`{path}`: {words}"));
    let looked_at = path.clone();
    let there = tokio::task::spawn_blocking(move || look(&looked_at)).await;
    let there = there
        .map_err(|error| refused(error.to_string()))?
        .map_err(|error| refused(error.to_string()))?;
    serde_json::to_value(there).map_err(|error| refused(error.to_string()))
}

/// There is nothing, or there is no directory in which it could be.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn mode_of(metadata: &Metadata) -> String {
    format!("{:04o}", metadata.permissions().mode() & 0o7777)
}

fn digest(path: &str) -> io::Result<(String, Option<String>)> {
    let mut file = File::open(path)?;
    let (mut digest, mut kept) = (Sha256::new(), Some(Vec::new()));
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
        kept = kept.filter(|kept| kept.len() + count <= MOST);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&buffer[..count]);
        }
    }
    let content = kept.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok((hex::encode(digest.finalize()), content))
}

/// The most bytes of a content that is kept.
const MOST: usize = 256 << 10;
