//! An agent that stands in for a key with a certificate: russh has such logins signed by agents alone. Behind it is a
//! key that dmp holds, or the person's agent, which may hold the key and not the certificate. Used by `auth` alone;
//! it lives on a pair of sockets in this process and ends with them.

use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, PublicKey, signature};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Who signs.
pub(crate) enum Behind {
    /// A key that dmp holds.
    Key(Arc<PrivateKey>),
    /// The agent at a socket, asked for this plain key.
    Agent(PathBuf, PublicKey),
}

/// Starts it.
pub(crate) fn start(behind: Behind) -> std::io::Result<AgentClient<UnixStream>> {
    let (ours, theirs) = UnixStream::pair()?;
    tokio::spawn(async move {
        // It ends with the client; whatever goes wrong shows there as a signature that is not given.
        let _ = serve(theirs, behind).await;
    });
    Ok(AgentClient::connect(ours))
}

async fn serve(mut stream: UnixStream, behind: Behind) -> std::io::Result<()> {
    loop {
        let request = message(&mut stream).await?;
        let reply = match &behind {
            Behind::Key(key) => signed_by(key, &request),
            Behind::Agent(socket, key) => passed_on(socket, key, &request).await,
        };
        let reply = reply.unwrap_or_else(|| vec![FAILURE]);
        send(&mut stream, &reply).await?;
    }
}

fn signed_by(key: &PrivateKey, request: &[u8]) -> Option<Vec<u8>> {
    let (data, flags) = asked(request)?;
    let hash = match flags {
        flags if flags & SHA_512 != 0 => Some(HashAlg::Sha512),
        flags if flags & SHA_256 != 0 => Some(HashAlg::Sha256),
        _ => None,
    };
    let signature = match key.key_data() {
        KeypairData::Rsa(pair) => signature::Signer::try_sign(&(pair, hash), data).ok()?,
        _ => signature::Signer::try_sign(key, data).ok()?,
    };
    let mut reply = vec![SIGNED];
    signature.encode_vec().ok()?.encode(&mut reply).ok()?;
    Some(reply)
}

async fn passed_on(socket: &PathBuf, key: &PublicKey, request: &[u8]) -> Option<Vec<u8>> {
    let (data, flags) = asked(request)?;
    let mut plain = vec![SIGN];
    key.to_bytes().ok()?.encode(&mut plain).ok()?;
    data.encode(&mut plain).ok()?;
    plain.extend(flags.to_be_bytes());
    let mut agent = UnixStream::connect(socket).await.ok()?;
    send(&mut agent, &plain).await.ok()?;
    message(&mut agent).await.ok()
}

/// What is to be signed, and with which hash.
fn asked(request: &[u8]) -> Option<(&[u8], u32)> {
    let rest = request.strip_prefix(&[SIGN])?;
    let (_, rest) = string(rest)?;
    let (data, rest) = string(rest)?;
    Some((data, u32::from_be_bytes(rest.try_into().ok()?)))
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)
}

async fn message(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?.min(LARGEST);
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn send(stream: &mut UnixStream, bytes: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    stream.write_u32(length).await?;
    stream.write_all(bytes).await
}

// Numbers of the agent's protocol.
const FAILURE: u8 = 5;
const SIGN: u8 = 13;
const SIGNED: u8 = 14;
const SHA_256: u32 = 2;
const SHA_512: u32 = 4;

/// No message of an agent is larger.
const LARGEST: u32 = 256 * 1024;
