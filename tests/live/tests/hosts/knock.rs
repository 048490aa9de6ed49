//! Who is let in: a connection to a port of a machine, from outside of it.

use dmp_live::{Lab, Machine};

/// What came of a connection to a port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Knock {
    /// Somebody said a line.
    Answered,
    /// The machine said that nobody is there.
    Refused,
    /// Nobody said anything.
    Dropped,
}

/// Knocks at a TCP port.
pub(crate) fn knock(lab: &Lab, machine: &Machine, port: u16) -> Knock {
    let script = format!(
        "exec 3<>/dev/tcp/{}/{port} && read -r line <&3",
        machine.address()
    );
    // What is emulated takes a while to answer.
    let patience = if machine.is_virtual() { "20" } else { "3" };
    let mut command = lab.enter("timeout");
    let status = command.args([patience, "bash", "-c", &script]).status();
    match status.expect("bash runs").code() {
        Some(0) => Knock::Answered,
        Some(124) => Knock::Dropped,
        _ => Knock::Refused,
    }
}

/// The command that makes something listen at a port, until the next boot, and say a line to whoever comes.
pub(crate) fn something_listens(port: u16) -> String {
    format!(
        "sudo systemd-run -q --unit=stranger-{port} perl -MIO::Socket::INET -e '
             my $all = IO::Socket::INET->new(LocalPort => {port}, Listen => 5, ReuseAddr => 1);
             while (my $one = $all->accept) {{ print $one \"who is there\\n\"; close $one }}'
         for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 0.1; done"
    )
}
