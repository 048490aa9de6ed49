//! A control plane whose API server does not answer at first is cleared and begun again, within the same create.

use dmp_live::Lab;
use serde_json::Value as Json;

use super::Stack;

/// Holds the API server's port from the moment when kubeadm has found it free, until kubeadm has given up.
const HOLD: &str = r#"sudo tee /run/hold >/dev/null <<'PERL'
use IO::Socket::INET;
until (-e "/etc/kubernetes/manifests/kube-apiserver.yaml") { select(undef, undef, undef, 0.02) }
my $held = IO::Socket::INET->new(LocalPort => 6443, Listen => 5, ReuseAddr => 1, Timeout => 0.1) or die;
open(my $note, ">", "/run/held"); close($note);
until (-e "/etc/kubernetes/dmp-again") { my $caller = $held->accept; $caller->close if $caller }
PERL
sudo sh -c 'setsid perl /run/hold >/run/hold.log 2>&1 </dev/null &'"#;

#[test]
#[ignore = "needs a lab: cargo xtask live cluster"]
fn a_control_plane_that_never_answered_is_begun_again_and_the_screen_says_so() {
    let lab = Lab::of_this_suite();
    let stack = Stack::of_example(&lab);
    // The cluster alone: no network, no pods, no workers.
    let main = std::fs::read_to_string(stack.dmp.folder().join("main.hcl")).expect("is there");
    let (cluster, _) = main
        .split_once("# Configured by the cluster")
        .expect("the example has it");
    let with_patience = "  begin_seconds = 40\n  ignored_preflight_errors";
    stack.dmp.write(
        "main.hcl",
        cluster.replacen("  ignored_preflight_errors", with_patience, 1),
    );
    stack.dmp.write("outputs.hcl", "");
    let _ = stack.machines[0].ssh(HOLD);
    let applied = stack
        .dmp
        .run(["apply", "--yes", "--json", "--var", "workers=0"])
        .success();
    println!(
        "a cluster that is begun twice: {:.1} s",
        applied.time.as_secs_f64()
    );
    let _ = stack.machines[0].ssh("[ -e /run/held ]");
    let events: Vec<Json> = applied
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let is = |event: &Json, kind: &str| {
        let address = event["address"].as_str().unwrap_or_default();
        event["event"] == kind && address.contains("kubeadm_cluster")
    };
    let done: Vec<&str> = events
        .iter()
        .filter(|event| is(event, "step_ended") && event["skipped"] == false)
        .filter_map(|event| event["title"].as_str())
        .collect();
    let again = "begin again: the API server never answered; clear";
    for step in ["begin the cluster", again, "begin the cluster again"] {
        assert!(done.contains(&step), "{step}: {done:?}");
    }
    let creates = events.iter().filter(|event| is(event, "operation_ended"));
    assert_eq!(creates.count(), 1);
    let nodes = stack.kubectl("get nodes -o name");
    assert_eq!(nodes.lines().count(), 1, "{nodes}");
}
