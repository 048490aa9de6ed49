//! The addresses of networks: which are taken, and which one a new port gets.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::openstack::Failure;
use crate::openstack::addresses::{Range, address, number};
use crate::openstack::estate::{Estate, Kind, list, text};

impl Estate {
    /// Returns the ids of the subnets of a network, the oldest first.
    pub(super) fn subnets_of(&self, network: &str) -> Vec<String> {
        self.having(Kind::Subnet, "network_id", network)
    }

    /// Returns the addresses of a subnet that something has; `but` is the port whose own do not count.
    fn taken(&self, subnet: &str, but: Option<&str>) -> BTreeSet<IpAddr> {
        let ports = self.all(Kind::Port).into_iter();
        let ports = ports.filter(|(id, _)| Some(*id) != but);
        let of_ports = ports.flat_map(|(_, port)| list(&port.shown, "fixed_ips"));
        let routers = self.all(Kind::Router).into_iter();
        let of_routers = routers.flat_map(|(_, router)| {
            let fixed = router.shown["external_gateway_info"]["external_fixed_ips"].as_array();
            fixed.map(Vec::as_slice).unwrap_or_default()
        });
        let fixed = of_ports.chain(of_routers);
        let fixed = fixed.filter(|fixed| fixed["subnet_id"] == subnet);
        let mut taken: BTreeSet<IpAddr> = fixed
            .filter_map(|fixed| fixed["ip_address"].as_str()?.parse().ok())
            .collect();
        let network = self
            .get(Kind::Subnet, subnet)
            .map_or("", |subnet| text(subnet, "network_id"));
        for (_, floating) in self.all(Kind::FloatingIp) {
            if text(&floating.shown, "floating_network_id") == network {
                taken.extend(text(&floating.shown, "floating_ip_address").parse::<IpAddr>());
            }
        }
        taken
    }

    /// Returns the first free address of a subnet.
    pub(super) fn free_address(&self, subnet: &str) -> Option<IpAddr> {
        let taken = self.taken(subnet, None);
        let subnet = self.get(Kind::Subnet, subnet)?;
        let gateway: Option<IpAddr> = text(subnet, "gateway_ip").parse().ok();
        let is_free = |found: &IpAddr| !taken.contains(found) && Some(*found) != gateway;
        list(subnet, "allocation_pools").iter().find_map(|pool| {
            let end = |name: &str| pool[name].as_str()?.parse::<IpAddr>().ok();
            let (start, end) = (end("start")?, end("end")?);
            let mut all = (number(start)..=number(end)).map(|at| address(at, start));
            all.find(is_free)
        })
    }

    /// Returns the addresses of a port: those that are wished, or one of each version.
    ///
    /// # Errors
    /// 409 where they are taken or there are none, 400 where they are of no subnet of the network.
    pub(super) fn addresses_for(
        &self,
        network: &str,
        wishes: Option<&[Value]>,
        own: Option<&str>,
    ) -> Result<Value, Failure> {
        let Some(wishes) = wishes else {
            return self.one_of_each(network);
        };
        let mut fixed: Vec<Value> = Vec::new();
        for wish in wishes {
            let (subnet, found) = self.fulfil(network, wish, own)?;
            fixed.push(json!({ "subnet_id": subnet, "ip_address": found.to_string() }));
        }
        Ok(Value::Array(fixed))
    }

    fn one_of_each(&self, network: &str) -> Result<Value, Failure> {
        let mut fixed = Vec::new();
        for version in [4, 6] {
            let subnets = self.subnets_of(network).into_iter();
            let of_version = |id: &String| {
                let subnet = self.get(Kind::Subnet, id);
                subnet.is_some_and(|subnet| subnet["ip_version"] == version)
            };
            let subnets: Vec<String> = subnets.filter(of_version).collect();
            let found = subnets
                .iter()
                .find_map(|id| Some((id, self.free_address(id)?)));
            match found {
                Some((id, found)) => {
                    fixed.push(json!({ "subnet_id": id, "ip_address": found.to_string() }));
                }
                None if subnets.is_empty() => {}
                None => return Err(exhausted(network)),
            }
        }
        Ok(Value::Array(fixed))
    }

    fn fulfil(
        &self,
        network: &str,
        wish: &Value,
        own: Option<&str>,
    ) -> Result<(String, IpAddr), Failure> {
        let wished = wish["ip_address"].as_str();
        let wished: Option<IpAddr> = wished.and_then(|text| text.parse().ok());
        let range = |id: &str| Range::parse(text(self.get(Kind::Subnet, id)?, "cidr"));
        let subnets = self.subnets_of(network);
        let subnet = match wish["subnet_id"].as_str() {
            Some(id) if subnets.iter().any(|known| known == id) => id.to_owned(),
            Some(id) if self.get(Kind::Subnet, id).is_some() => {
                return Err(Failure::bad(format!(
                    "Invalid input for operation: Failed to create port on network {network}, because fixed_ips included invalid subnet {id}."
                )));
            }
            Some(id) => {
                let message = format!("Subnet {id} could not be found.");
                return Err(Failure::of(404, "SubnetNotFound", message));
            }
            None => {
                let Some(found) = wished else {
                    return Err(Failure::bad(
                        "Invalid input for operation: IP allocation requires subnet_id or ip_address.",
                    ));
                };
                let of_it = subnets
                    .iter()
                    .find(|id| range(id).is_some_and(|range| range.contains(found)));
                of_it.cloned().ok_or_else(|| {
                    Failure::of(400, "InvalidIpForNetwork", format!("IP address {found} is not a valid IP for any of the subnets on the specified network."))
                })?
            }
        };
        let Some(found) = wished else {
            let free = self
                .free_address(&subnet)
                .ok_or_else(|| exhausted(network))?;
            return Ok((subnet, free));
        };
        let ends = range(&subnet).map(|range| (range.first(), range.last()));
        let is_of_hosts = range(&subnet).is_some_and(|range| range.contains(found))
            && ends
                .is_some_and(|(first, last)| found != first && (found != last || found.is_ipv6()));
        if !is_of_hosts {
            return Err(Failure::of(
                400,
                "InvalidIpForSubnet",
                format!("IP address {found} is not a valid IP for the specified subnet."),
            ));
        }
        match self.taken(&subnet, own).contains(&found) {
            true => Err(Failure::of(
                409,
                "IpAddressAlreadyAllocated",
                format!("IP address {found} already allocated in subnet {subnet}"),
            )),
            false => Ok((subnet, found)),
        }
    }
}

/// There are no addresses left.
pub(super) fn exhausted(network: &str) -> Failure {
    Failure::of(
        409,
        "IpAddressGenerationFailure",
        format!("No more IP addresses available on network {network}."),
    )
}
