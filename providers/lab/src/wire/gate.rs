//! Who calls: by ticket and CSRF token, or by API token.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE};

use super::body::decode;
use crate::world::World;
use crate::world::access::Caller;

/// How long a ticket holds, in seconds.
const LIFETIME: u64 = 2 * 60 * 60;

/// By how many seconds the clock of the node that gave a ticket may be ahead of that of the one which is asked.
const DRIFT: u64 = 5 * 60;

fn signed(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    STANDARD_NO_PAD.encode(hmac::sign(&key, text.as_bytes()))
}

/// Whether two secrets are the same, in the same time for all.
pub(crate) fn same(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Whether what was given at a time holds at another, both in seconds.
fn holds(given: u64, now: u64) -> bool {
    given <= now + DRIFT && now.saturating_sub(given) < LIFETIME
}

/// Returns a ticket for a user, given at a time in seconds.
pub(crate) fn ticket(secret: &str, user: &str, now: u64) -> String {
    let told = format!("PVE:{user}:{now:08X}");
    format!("{told}::{}", signed(secret, &told))
}

/// Returns the user of a ticket that holds.
pub(crate) fn user_of_ticket(secret: &str, ticket: &str, now: u64) -> Option<String> {
    let (told, signature) = ticket.split_once("::")?;
    let mut parts = told.strip_prefix("PVE:")?.rsplitn(2, ':');
    let time = u64::from_str_radix(parts.next()?, 16).ok()?;
    let user = parts.next()?;
    (same(&signed(secret, told), signature) && holds(time, now)).then(|| user.to_owned())
}

/// Returns the token that a user's writes must carry.
pub(crate) fn csrf(secret: &str, user: &str, now: u64) -> String {
    let time = format!("{now:08X}");
    let signature = signed(secret, &format!("{time}:{user}:csrf"));
    format!("{time}:{signature}")
}

fn is_csrf(secret: &str, user: &str, token: &str, now: u64) -> bool {
    let Some((time, signature)) = token.split_once(':') else {
        return false;
    };
    u64::from_str_radix(time, 16).is_ok_and(|time| holds(time, now))
        && same(&signed(secret, &format!("{time}:{user}:csrf")), signature)
}

/// Returns who calls a node, by whose clock tickets and tokens hold.
///
/// # Errors
/// The reason phrase of the 401.
pub(crate) fn caller(
    world: &World,
    node: &str,
    method: &str,
    headers: &HeaderMap,
) -> Result<Caller, &'static str> {
    let now = world.clock_of(node) / 1000;
    let header = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let authorization = header(AUTHORIZATION);
    let cookies = header(COOKIE).split(';').map(str::trim);
    let in_cookie = cookies
        .filter_map(|part| part.strip_prefix("PVEAuthCookie="))
        .next();
    let in_header = authorization.trim().strip_prefix("PVEAuthCookie=");
    let secret = &world.cluster.secret;
    if let Some(ticket) = in_cookie.or(in_header) {
        let user = user_of_ticket(secret, &decode(ticket, false), now)
            .ok_or("permission denied - invalid PVE ticket")?;
        let is_known = world
            .cluster
            .access
            .users
            .get(&user)
            .is_some_and(|user| !user.is_disabled);
        if !is_known {
            return Err("permission denied - invalid PVE ticket");
        }
        let sent = headers
            .get("CSRFPreventionToken")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if method != "GET" && !is_csrf(secret, &user, sent, now) {
            return Err("Permission denied - invalid csrf token");
        }
        return Ok(Caller { user, token: None });
    }
    let Some(token) = authorization.trim().strip_prefix("PVEAPIToken=") else {
        return Err("No ticket");
    };
    token_of(world, &decode(token, false), now).ok_or("Authentication failed!")
}

fn token_of(world: &World, text: &str, now: u64) -> Option<Caller> {
    let (name, value) = text.split_once('=')?;
    let (user, token) = name.split_once('!')?;
    let known = world
        .cluster
        .access
        .users
        .get(user)
        .filter(|user| !user.is_disabled)?
        .tokens
        .get(token)?;
    let holds = known.expire == 0 || known.expire > now;
    (holds && same(&known.value, value)).then(|| Caller {
        user: user.to_owned(),
        token: Some(token.to_owned()),
    })
}
