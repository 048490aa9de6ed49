//! Who listens on which port: the kernel's own tables, and the processes that hold their sockets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dmp_sdk::Script;

/// Writes the kernel's tables, then which process has which socket, then the processes' names. Whose processes belong to
/// others are seen by root alone.
const SCRIPT: &str = r#"
for table in tcp tcp6 udp udp6; do
	[ -r "/proc/net/$table" ] || continue
	echo "== $table"
	cat "/proc/net/$table"
done
echo '== sockets'
ls -l /proc/[0-9]*/fd 2>/dev/null | grep -e '^/proc/' -e 'socket:'
echo '== names'
grep -s '' /proc/[0-9]*/comm
:
"#;

/// The script.
pub(crate) fn script() -> Script {
    Script::new(SCRIPT)
}

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    /// `tcp` or `udp`.
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
    pub(crate) address: IpAddr,
    /// The names of the processes that hold it, where they may be seen.
    pub(crate) processes: Vec<String>,
}

/// Understands the script's output. In order of protocol, port and address, each once.
pub(crate) fn parse(output: &str) -> Vec<Port> {
    let mut sockets: Vec<(Port, String)> = Vec::new();
    let mut holders: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut names: HashMap<&str, &str> = HashMap::new();
    let (mut section, mut process) = ("", "");
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            section = name;
            continue;
        }
        match section {
            "tcp" | "tcp6" | "udp" | "udp6" => sockets.extend(socket(section, line)),
            "sockets" => match line.strip_prefix("/proc/") {
                Some(rest) => process = rest.split('/').next().unwrap_or_default(),
                None => {
                    let inode = line.rsplit_once("socket:[").map(|(_, rest)| rest);
                    let inode = inode.and_then(|rest| rest.strip_suffix(']'));
                    if let Some(inode) = inode {
                        holders.entry(inode).or_default().push(process);
                    }
                }
            },
            "names" => {
                let named = line.strip_prefix("/proc/");
                let named = named.and_then(|rest| rest.split_once("/comm:"));
                names.extend(named);
            }
            _ => {}
        }
    }
    let mut ports: Vec<Port> = Vec::new();
    for (mut port, inode) in sockets {
        let holders = holders.get(inode.as_str()).into_iter().flatten();
        port.processes = holders
            .filter_map(|process| names.get(process))
            .map(|name| (*name).to_owned())
            .collect();
        ports.push(port);
    }
    ports.sort();
    ports.dedup_by(|next, kept| {
        let is_same =
            (next.protocol, next.port, next.address) == (kept.protocol, kept.port, kept.address);
        if is_same {
            kept.processes.append(&mut next.processes);
        }
        is_same
    });
    for port in &mut ports {
        port.processes.sort();
        port.processes.dedup();
    }
    ports
}

/// A line of a table, if it is of a socket that waits: of TCP in state `0A`, of UDP one without another side.
fn socket(table: &str, line: &str) -> Option<(Port, String)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, remote, state, ..] = words[..] else {
        return None;
    };
    let protocol = if table.starts_with("tcp") {
        "tcp"
    } else {
        "udp"
    };
    let waits = match protocol {
        "tcp" => state == "0A",
        _ => remote.rsplit_once(':')?.1 == "0000",
    };
    let (address, port) = local.rsplit_once(':')?;
    let port = Port {
        protocol,
        port: u16::from_str_radix(port, 16).ok()?,
        address: address_of(address)?,
        processes: Vec::new(),
    };
    (waits && port.port > 0).then(|| (port, (*words.get(9).unwrap_or(&"")).to_owned()))
}

/// An address as the kernel writes it: words of 32 bits, each in the machine's own order (little endian on all that dmp
/// knows).
fn address_of(digits: &str) -> Option<IpAddr> {
    let bytes = hex::decode(digits).ok()?;
    let mut ordered = Vec::with_capacity(bytes.len());
    for word in bytes.chunks(4) {
        ordered.extend(word.iter().rev());
    }
    match ordered.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(ordered).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(ordered).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_told_with_the_names_of_the_processes() {
        let output = "\
== tcp
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100
   2: 0B004E0A:0016 01004E0A:D431 01 00000000:00000000 02:0009 00000000     0        0 4244 4 0 20
== tcp6
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4245 1
   1: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4246 1
== udp
   9: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000   0        0 4247 2 0 0
== sockets
/proc/700/fd:
lrwx------ 1 root root 64 Nov 30 10:00 3 -> socket:[4242]
lrwx------ 1 root root 64 Nov 30 10:00 4 -> socket:[4245]
/proc/701/fd:
lrwx------ 1 root root 64 Nov 30 10:00 5 -> socket:[4243]
== names
/proc/700/comm:sshd
/proc/701/comm:web: worker
";
        let ports = parse(output);
        let shown: Vec<String> = ports
            .iter()
            .map(|port| {
                let names = port.processes.join(",");
                format!("{} {} {} {names}", port.protocol, port.address, port.port)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "tcp 0.0.0.0 22 sshd",
                "tcp :: 22 sshd",
                "tcp ::1 25 ",
                "tcp 127.0.0.1 8080 web: worker",
                "udp 0.0.0.0 68 ",
            ]
        );
    }
}
