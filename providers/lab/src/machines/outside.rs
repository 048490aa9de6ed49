//! Ports of `process` machines at the addresses outside that lead to them: whatever listens at an address inside is reached at
//! the one outside as well. What listens at every address is there already.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::lab::Shared;

/// How long something that begins to listen is at most not reached from outside.
const PAUSE: Duration = Duration::from_millis(100);

/// Opens and closes ports for as long as the lab runs.
pub(super) async fn open(shared: Arc<Shared>) {
    let mut tasks = JoinSet::new();
    let mut open: BTreeMap<SocketAddrV4, (SocketAddrV4, AbortHandle)> = BTreeMap::new();
    loop {
        tokio::time::sleep(PAUSE).await;
        while tasks.try_join_next().is_some() {}
        let wanted = wanted(&shared);
        open.retain(|outside, (inside, task)| {
            let stays = wanted.get(outside) == Some(inside) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for (outside, inside) in wanted {
            if open.contains_key(&outside) {
                continue;
            }
            // A port that somebody else has is tried again the next time.
            if let Ok(listener) = TcpListener::bind(outside).await {
                let task = tasks.spawn(hand_on(listener, inside));
                open.insert(outside, (inside, task));
            }
        }
    }
}

/// Returns which address and port outside is to lead where.
fn wanted(shared: &Shared) -> BTreeMap<SocketAddrV4, SocketAddrV4> {
    let (ways, ssh_port) = shared.with(|world| {
        let cut = &world.cluster.faults.cut;
        let running = world
            .guests
            .values()
            .filter(|guest| guest.is_running() && !cut.contains(&guest.vmid));
        let ways = running.flat_map(|guest| guest.floating.clone());
        let ways: Vec<(Ipv4Addr, Ipv4Addr)> = ways
            .filter(|(outside, inside)| outside.is_loopback() && inside.is_loopback())
            .collect();
        (ways, world.cluster.site.ssh_port)
    });
    if ways.is_empty() {
        return BTreeMap::new();
    }
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let listening = listening(&table);
    let one = |(outside, inside): &(Ipv4Addr, Ipv4Addr)| {
        let ports = listening
            .iter()
            .filter(|at| at.ip() == inside && at.port() != ssh_port);
        let outside = *outside;
        let ports = ports.map(move |at| (SocketAddrV4::new(outside, at.port()), *at));
        ports.collect::<Vec<_>>()
    };
    ways.iter().flat_map(one).collect()
}

/// Returns where something listens, by the kernel's table of connections.
fn listening(table: &str) -> BTreeSet<SocketAddrV4> {
    const LISTEN: &str = "0A";
    let one = |line: &str| {
        let mut fields = line.split_whitespace();
        let (address, port) = fields.nth(1)?.split_once(':')?;
        fields.nth(1).filter(|state| *state == LISTEN)?;
        // The bytes stand as they are in memory.
        let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(SocketAddrV4::new(address.into(), port))
    };
    table.lines().filter_map(one).collect()
}

/// Hands connections on to where the way leads.
async fn hand_on(listener: TcpListener, inside: SocketAddrV4) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            if let Ok(mut other) = TcpStream::connect(inside).await {
                // Either end may go first.
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_listens_is_found_in_the_kernels_table() {
        let address = format!("{:08X}", u32::from_ne_bytes([127, 20, 0, 5]));
        let table = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue\n   0: {address}:1F90 00000000:0000 0A 00000000:00000000\n   1: {address}:1F91 0100007F:0050 01 00000000:00000000\n"
        );
        let found: Vec<String> = listening(&table).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.20.0.5:8080"]);
    }
}
