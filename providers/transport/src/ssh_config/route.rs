//! Where a host is: its address, user and port, and the machines to go through. Called by the provider `host`, which
//! plans and records it.

use serde::{Deserialize, Serialize};

use super::SshConfig;
use super::expand::{OF_JUMP, Tokens};
use super::jump::Hop;
use super::resolve::{Asked, ConfigError, Found};

/// Where a host is, as far as the configuration says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The name or address to connect to.
    pub address: String,
    /// The user, where one is named.
    pub user: Option<String>,
    /// The port, where one is named.
    pub port: Option<u16>,
    /// The machines to go through, the nearest first.
    pub bastions: Vec<Bastion>,
    /// Where a `ProxyCommand` stands that the host can't be reached without, as `FILE:LINE`.
    pub needs_command: Option<String>,
}

/// A machine to go through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bastion {
    /// What the configuration calls it.
    pub alias: String,
    /// The name or address to connect to.
    pub address: String,
    /// The user.
    pub user: String,
    /// The port.
    pub port: u16,
}

impl SshConfig {
    /// Where a host is.
    ///
    /// # Errors
    /// As for [`SshConfig::look_up`]; also when the ways of `ProxyJump` lead in a circle.
    pub fn route(&self, asked: &Asked) -> Result<Route, ConfigError> {
        let found = self.look_up(asked)?;
        let mut route = Route {
            address: found.host.clone(),
            user: found.settings.user.clone(),
            port: found.settings.port,
            bastions: Vec::new(),
            needs_command: command(&found),
        };
        let mut on_the_way = vec![asked.clone()];
        self.go_through(asked, &found, &mut route, &mut on_the_way)?;
        Ok(route)
    }

    fn go_through(
        &self,
        asked: &Asked,
        found: &Found,
        route: &mut Route,
        on_the_way: &mut Vec<Asked>,
    ) -> Result<(), ConfigError> {
        let hops = found.settings.jump.iter().flatten().flatten();
        for (position, hop) in hops.enumerate() {
            let next = self.hop(asked, found, hop)?;
            if on_the_way.contains(&next) || on_the_way.len() > LONGEST {
                return Err(ConfigError {
                    place: format!("`ProxyJump` of `{}`", asked.host),
                    why: format!("leads through `{}` in a circle", next.host),
                });
            }
            let inner = self.look_up(&next)?;
            on_the_way.push(next.clone());
            // Later hops are reached through the earlier ones, whatever the configuration says of them.
            if position == 0 {
                route.needs_command = route.needs_command.take().or_else(|| command(&inner));
                self.go_through(&next, &inner, route, on_the_way)?;
            }
            route.bastions.push(Bastion {
                alias: next.host,
                address: inner.host,
                user: inner
                    .settings
                    .user
                    .unwrap_or_else(|| self.person.name.clone()),
                port: inner.settings.port.unwrap_or(22),
            });
        }
        Ok(())
    }

    fn hop(&self, asked: &Asked, found: &Found, hop: &Hop) -> Result<Asked, ConfigError> {
        let user = found.settings.user.as_ref();
        let tokens = Tokens {
            host: found.host.clone(),
            asked: asked.host.clone(),
            port: found.settings.port.unwrap_or(22),
            user: user.unwrap_or(&self.person.login).clone(),
            ..Tokens::default()
        };
        let fill = |text: &String| {
            tokens
                .fill(text, OF_JUMP, &self.person)
                .map_err(|why| ConfigError {
                    place: format!("`ProxyJump` of `{}`", asked.host),
                    why,
                })
        };
        Ok(Asked {
            host: fill(&hop.host)?,
            user: hop.user.as_ref().map(fill).transpose()?,
            port: hop.port,
        })
    }
}

/// Where the `ProxyCommand` stands that a host needs.
fn command(found: &Found) -> Option<String> {
    let (command, place) = found.settings.proxy_command.as_ref()?;
    (!command.eq_ignore_ascii_case("none")).then(|| place.to_string())
}

/// So many machines are gone through at the most.
const LONGEST: usize = 16;
