//! What `ProxyJump` names: hops as `[user@]host[:port]` or `ssh://…`, with commas between. Called by `resolve`; pure.

/// One hop as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The user, where one is named.
    pub user: Option<String>,
    /// The host, which may itself be a name of the configuration.
    pub host: String,
    /// The port, where one is named.
    pub port: Option<u16>,
}

/// The hops of a `ProxyJump`, in the order in which they are gone through. `None` says that there is none.
pub(super) fn parse(text: &str) -> Result<Option<Vec<Hop>>, String> {
    let text = text.split('#').next().unwrap_or_default().trim_end();
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    text.split(',').map(hop).collect::<Result<_, _>>().map(Some)
}

fn hop(text: &str) -> Result<Hop, String> {
    let wrong = || format!("`{text}` names no host to jump over");
    let uri = text.strip_prefix("ssh://");
    let written = uri.map_or(text, |uri| uri.trim_end_matches('/'));
    let (user, place) = match written.rsplit_once('@') {
        Some((user, place)) if !user.is_empty() => (Some(user.to_owned()), place),
        Some(_) => return Err(wrong()),
        None => (None, written),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
            let port = after.strip_prefix(':');
            if port.is_none() && !after.is_empty() {
                return Err(wrong());
            }
            (host, port)
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = match port {
        Some(port) => Some(
            port.parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(wrong)?,
        ),
        None => None,
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(wrong());
    }
    let host = host.to_owned();
    Ok(Hop { user, host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_read_in_each_form_and_what_names_none_is_refused() {
        let hop = |user: Option<&str>, host: &str, port| Hop {
            user: user.map(str::to_owned),
            host: host.into(),
            port,
        };
        assert_eq!(
            parse("a,bob@b:2222 # far"),
            Ok(Some(vec![
                hop(None, "a", None),
                hop(Some("bob"), "b", Some(2222))
            ]))
        );
        assert_eq!(
            parse("ssh://u@h:33,[fe80::1]:22"),
            Ok(Some(vec![
                hop(Some("u"), "h", Some(33)),
                hop(None, "fe80::1", Some(22))
            ]))
        );
        assert_eq!(parse("None"), Ok(None));
        for wrong in ["", "a,,b", "a:0", "a:x", "@a", "::1", "[::1", "[::1]x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
