//! Whole files to and from a machine: verified by checksum, visible only when they are whole, and gone on with where an
//! earlier attempt was cut off. Called by `dmp copy`; nothing that the engine does goes this way.
//!
//! What has arrived lies beside the target as `.NAME.SUM.dmp-part`, named by what it is to become: a part of another
//! content is never taken for it, and its bytes are compared by checksum before they are kept.

use std::fmt;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use dmp_sdk::{Machine, Machines, Output, Script, Unreachable};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::channel::{Running, Said, tail};
use crate::quote;
use crate::retry::Pace;
use crate::ssh::Ssh;

/// Told how many bytes of how many are there.
pub type Copying<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// What a file shall be on a machine.
#[derive(Clone, Debug)]
pub struct Target {
    /// An absolute path.
    pub path: String,
    /// Its mode, in octal digits.
    pub mode: String,
    /// `USER` or `USER:GROUP`; whoever runs commands there, without it.
    pub owner: Option<String>,
}

/// How a copy went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The file's size.
    pub size: u64,
    /// How many bytes went over the wire.
    pub sent: u64,
}

/// Why a file was not copied. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The machine.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The file here.
    #[error("`{}` here: {error}", path.display())]
    Here {
        /// The path.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The file there, in words.
    #[error("{0}")]
    There(String),
}

impl Ssh {
    /// Copies a file to a machine.
    ///
    /// # Errors
    /// When it is not there as a whole; a part may be left for the next attempt.
    pub async fn upload(
        &self,
        file: &Path,
        on: &Machine,
        target: &Target,
        copying: Copying<'_>,
    ) -> Result<Copied, CopyError> {
        let (sum, size) = sum_of(file, u64::MAX).await.map_err(here(file))?;
        let whole = Whole { file, sum, size };
        let mut sent = 0;
        let mut pace = Pace::new(Duration::from_millis(250), Duration::from_secs(5));
        let mut attempt = 1;
        loop {
            let attempted = async {
                let offset = self.uploaded(&whole, on, target).await?;
                let send = self.send(&whole, offset, on, target, &mut sent, copying);
                send.await
            };
            match attempted.await {
                Ok(()) => return Ok(Copied { size, sent }),
                Err(CopyError::Unreachable(error)) if attempt < ATTEMPTS && is_passing(&error) => {
                    sleep(pace.pause()).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How much of a file is there already, byte by byte as it is here.
    async fn uploaded(
        &self,
        whole: &Whole<'_>,
        on: &Machine,
        target: &Target,
    ) -> Result<u64, CopyError> {
        let Whole { file, sum, size } = whole;
        let script = Script::new(LOOK_BEFORE_UPLOAD)
            .var("target", &target.path)
            .var("part", part(&target.path, sum));
        let found = self.asked(on, script).await?;
        let mut words = found.split_ascii_whitespace();
        let there: u64 = words.next().and_then(|size| size.parse().ok()).unwrap_or(0);
        if there == 0 || there > *size {
            return Ok(0);
        }
        let (own, _) = sum_of(file, there).await.map_err(here(file))?;
        Ok(if words.next() == Some(own.as_str()) {
            there
        } else {
            0
        })
    }

    async fn send(
        &self,
        whole: &Whole<'_>,
        offset: u64,
        on: &Machine,
        target: &Target,
        sent: &mut u64,
        copying: Copying<'_>,
    ) -> Result<(), CopyError> {
        let Whole { file, sum, size } = whole;
        let size = *size;
        let mut source = File::open(file).await.map_err(here(file))?;
        source
            .seek(SeekFrom::Start(offset))
            .await
            .map_err(here(file))?;
        let variables = [
            ("target", target.path.as_str()),
            ("part", &part(&target.path, sum)),
            ("sum", sum),
            ("size", &size.to_string()),
            ("mode", &target.mode),
            ("owner", target.owner.as_deref().unwrap_or_default()),
            ("append", if offset > 0 { "yes" } else { "" }),
        ];
        let assigned = variables.map(|(name, value)| format!("{name}={}; ", quote::quoted(value)));
        let line = format!(
            "{}eval {}",
            assigned.concat(),
            quote::quoted(&one_line(TAKE))
        );
        let connection = self.connection(on).await?;
        let mut running = Running::start_line(&connection, on, line).await?;
        let mut done = offset;
        let input = running.input();
        let feeding = async {
            let mut bytes = vec![0; CHUNK];
            loop {
                let count = source.read(&mut bytes).await?;
                // A machine that takes no more says why.
                let fed = input.feed(bytes[..count].to_vec());
                if count == 0 || fed.await.is_err() {
                    let _ = input.end().await;
                    return Ok(());
                }
                done += count as u64;
                *sent += count as u64;
                copying(done, size);
            }
        };
        // Both at once: a connection that breaks ends what is heard, and would leave what is fed waiting.
        let mut hearing = std::pin::pin!(heard(&mut running));
        let ended = tokio::select! {
            ended = &mut hearing => Some(ended),
            fed = feeding => {
                fed.map_err(here(file))?;
                None
            }
        };
        let (status, _, errors) = match ended {
            Some(ended) => ended,
            None => hearing.await,
        };
        match status {
            Some(0) => Ok(()),
            Some(5) if !connection.is_closed() && done < size => Err(CopyError::There(format!(
                "`{}` has become smaller while it was sent",
                file.display()
            ))),
            Some(4) => Err(CopyError::There(format!(
                "what arrived on {} is not the file: the checksum differs, and the part was removed",
                on.key()
            ))),
            Some(status) if status != 5 => Err(CopyError::There(format!(
                "`{}` on {} was not written: {}",
                target.path,
                on.key(),
                tail(&errors).trim()
            ))),
            // What was sent did not arrive as a whole: the rest is for the next attempt.
            None | Some(_) => Err(Unreachable::Lost {
                machine: on.key(),
                why: "while a file was sent".into(),
            }
            .into()),
        }
    }

    /// Copies a file from a machine.
    ///
    /// # Errors
    /// When it is not here as a whole; a part may be left for the next attempt.
    pub async fn download(
        &self,
        on: &Machine,
        path: &str,
        file: &Path,
        copying: Copying<'_>,
    ) -> Result<Copied, CopyError> {
        let mut sent = 0;
        let mut pace = Pace::new(Duration::from_millis(250), Duration::from_secs(5));
        let mut attempt = 1;
        loop {
            match self.fetch(on, path, file, &mut sent, copying).await {
                Err(CopyError::Unreachable(error)) if attempt < ATTEMPTS && is_passing(&error) => {
                    sleep(pace.pause()).await;
                    attempt += 1;
                }
                result => return result.map(|size| Copied { size, sent }),
            }
        }
    }

    async fn fetch(
        &self,
        on: &Machine,
        path: &str,
        file: &Path,
        sent: &mut u64,
        copying: Copying<'_>,
    ) -> Result<u64, CopyError> {
        let script = Script::new(LOOK_BEFORE_DOWNLOAD).var("source", path);
        let found = self.asked(on, script).await?;
        let words: Vec<&str> = found.split_ascii_whitespace().collect();
        let [size, sum, mode] = words[..] else {
            return Err(CopyError::There(format!(
                "`{path}` on {} can't be read",
                on.key()
            )));
        };
        let size: u64 = size.parse().unwrap_or(0);
        let part = PathBuf::from(part(&file.display().to_string(), sum));
        let mut offset = tokio::fs::metadata(&part)
            .await
            .map_or(0, |found| found.len());
        if offset > size {
            offset = 0;
        }
        let mut options = tokio::fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(offset == 0)
            .mode(0o600);
        let mut kept = options.open(&part).await.map_err(here(&part))?;
        kept.seek(SeekFrom::End(0)).await.map_err(here(&part))?;
        let from = offset + 1;
        let line = format!(
            "source={}; tail -c +{from} -- \"$source\"",
            quote::quoted(path)
        );
        let connection = self.connection(on).await?;
        let mut running = Running::start_line(&connection, on, line)
            .await?
            .killed_on_drop();
        let _ = running.input().end().await;
        let (mut status, mut done) = (None, offset);
        while let Some(said) = running.next().await {
            match said {
                Said::Out(bytes) => {
                    kept.write_all(&bytes).await.map_err(here(&part))?;
                    done += bytes.len() as u64;
                    *sent += bytes.len() as u64;
                    copying(done, size);
                }
                Said::Status(ended) => status = Some(ended),
                Said::Err(_) => {}
            }
        }
        kept.sync_all().await.map_err(here(&part))?;
        drop(kept);
        if status != Some(0) || done < size {
            return Err(Unreachable::Lost {
                machine: on.key(),
                why: "while a file was fetched".into(),
            }
            .into());
        }
        let (own, _) = sum_of(&part, u64::MAX).await.map_err(here(&part))?;
        if own != sum {
            let _ = tokio::fs::remove_file(&part).await;
            return Err(CopyError::There(format!(
                "what arrived of `{path}` from {} is not the file: the checksum differs, and the part was removed; it may have \
                 changed meanwhile",
                on.key()
            )));
        }
        let mode = u32::from_str_radix(mode, 8).unwrap_or(0o600) & 0o777;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        tokio::fs::set_permissions(&part, mode)
            .await
            .map_err(here(&part))?;
        tokio::fs::rename(&part, file).await.map_err(here(file))?;
        Ok(size)
    }

    async fn asked(&self, on: &Machine, script: Script) -> Result<String, CopyError> {
        let exchange = self.read(on, &[script], LOOKING).await?;
        let output = exchange.outputs.into_iter().next();
        let output = output.unwrap_or(Output {
            status: 255,
            stdout: Vec::new(),
            stderr: String::new(),
        });
        if output.is_success() {
            return Ok(output.text().into_owned());
        }
        Err(CopyError::There(format!(
            "{}: {}",
            on.key(),
            output.stderr.trim()
        )))
    }
}

/// A file that is to be sent.
struct Whole<'a> {
    file: &'a Path,
    sum: String,
    size: u64,
}

/// All that is left to hear: status, output, errors.
async fn heard(running: &mut Running) -> (Option<u32>, Vec<u8>, Vec<u8>) {
    let (mut status, mut out, mut err) = (None, Vec::new(), Vec::new());
    while let Some(said) = running.next().await {
        match said {
            Said::Out(bytes) => out.extend(bytes),
            Said::Err(bytes) => err.extend(bytes),
            Said::Status(ended) => status = Some(ended),
        }
    }
    running.has_said_all();
    (status, out, err)
}

fn is_passing(error: &Unreachable) -> bool {
    matches!(
        error,
        Unreachable::Lost { .. } | Unreachable::NoConnection { .. }
    )
}

fn here(path: &Path) -> impl FnOnce(std::io::Error) -> CopyError + use<'_> {
    move |error| CopyError::Here {
        path: path.to_owned(),
        error,
    }
}

/// SHA-256 of the first bytes of a file, and how many there were.
async fn sum_of(file: &Path, most: u64) -> std::io::Result<(String, u64)> {
    let mut source = File::open(file).await?.take(most);
    let mut context = digest::Context::new(&digest::SHA256);
    let (mut bytes, mut size) = (vec![0; CHUNK], 0);
    loop {
        let count = source.read(&mut bytes).await?;
        if count == 0 {
            return Ok((hex::encode(context.finish()), size));
        }
        context.update(&bytes[..count]);
        size += count as u64;
    }
}

/// Where the bytes lie until they are the whole file.
fn part(path: &str, sum: &str) -> String {
    let (folder, name) = path
        .rsplit_once('/')
        .map_or(("", path), |(folder, name)| (&path[..=folder.len()], name));
    let short = sum.get(..16).unwrap_or(sum);
    format!("{folder}.{name}.{short}.dmp-part")
}

/// A program without comments and ends of lines, which a shell can read as one line.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {} of them sent", self.size, self.sent)
    }
}

/// Size and checksum of what has arrived earlier.
const LOOK_BEFORE_UPLOAD: &str = r#"
if [ -d "$target" ]; then echo "\`$target\` is a folder" >&2; exit 3; fi
folder=${target%/*}
if [ ! -d "${folder:-/}" ]; then echo "there is no folder \`${folder:-/}\`" >&2; exit 3; fi
if [ -L "$part" ] || { [ -e "$part" ] && [ ! -f "$part" ]; }; then
	echo "\`$part\` is not dmp's" >&2; exit 3
fi
if [ -f "$part" ]; then
	set -- $(sha256sum <"$part")
	echo "$(($(wc -c <"$part"))) $1"
else
	echo 0
fi
"#;

/// Size, checksum and mode of a file.
const LOOK_BEFORE_DOWNLOAD: &str = r#"
if [ -d "$source" ]; then echo "\`$source\` is a folder" >&2; exit 3; fi
if [ ! -f "$source" ]; then echo "there is no file \`$source\`" >&2; exit 3; fi
set -- $(sha256sum <"$source") $(stat -c %a "$source" 2>/dev/null || echo 600)
echo "$(($(wc -c <"$source"))) $1 $3"
"#;

/// Takes bytes from standard input, and makes them the file when they are whole. Each statement ends with `;`.
const TAKE: &str = r#"
umask 077;
if [ -n "$append" ]; then cat >>"$part"; else cat >"$part"; fi || exit 1;
set -- $(sha256sum <"$part");
if [ "$1" != "$sum" ]; then
	[ "$(($(wc -c <"$part")))" -ge "$size" ] || exit 5;
	rm -f "$part";
	exit 4;
fi;
if [ -n "$owner" ]; then chown "$owner" "$part" || exit 1; fi;
chmod "$mode" "$part" || exit 1;
if [ -d "$target" ]; then echo "\`$target\` is a folder" >&2; exit 1; fi;
mv -f "$part" "$target"
"#;

/// Bytes that are read and sent at once.
const CHUNK: usize = 64 * 1024;

/// How often a copy is gone on with after a connection was lost.
const ATTEMPTS: u32 = 6;

/// How long a machine may take to sum a large file up.
const LOOKING: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_beside_what_it_becomes() {
        assert_eq!(
            part("/etc/motd", "0123456789abcdef0123"),
            "/etc/.motd.0123456789abcdef.dmp-part"
        );
        assert_eq!(part("motd", "00"), ".motd.00.dmp-part");
    }
}
