//! A real sudo that asks for a password.

use std::time::Duration;

use dmp_live::Lab;
use dmp_sdk::{Machine, Machines, Script, Unreachable};
use dmp_transport::{Options, Ssh};

const PASSWORD: &str = "geheim 'und' lang";

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn sudo_gets_its_password_when_it_asks_and_a_wrong_one_is_tried_once() {
    let lab = Lab::of_this_suite();
    if let Some(machine) = lab.from_outside() {
        return asks(&machine);
    }
    let [machine] = lab.machines(["n1"]);
    let test = "sudo::sudo_gets_its_password_when_it_asks_and_a_wrong_one_is_tried_once";
    lab.run_inside(test, &machine);
}

/// The test itself, in the lab's network.
fn asks(machine: &dmp_live::Machine) {
    machine.ssh(&format!(
        "sudo useradd -m -s /bin/sh asked
         printf '%s\\n' \"asked:{PASSWORD}\" | sudo chpasswd
         echo 'asked ALL=(ALL) ALL' | sudo tee /etc/sudoers.d/asked >/dev/null
         sudo cp -r ~/.ssh /home/asked/ && sudo chown -R asked: /home/asked/.ssh"
    ));
    let asked = Machine {
        address: machine.address().into(),
        user: "asked".into(),
        key_file: Some(machine.key().display().to_string()),
        host_keys: vec![machine.host_key()],
        sudo: true,
        sudo_password: Some(PASSWORD.into()),
        ..Machine::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let read = |on: &Machine, ssh: &Ssh| {
        let script = [Script::new("id -un; cat").stdin(*b"all of it")];
        runtime.block_on(ssh.read(on, &script, Duration::from_secs(60)))
    };
    let exchange = read(&asked, &Ssh::new(Options::new())).expect("the password is right");
    assert_eq!(exchange.outputs[0].text(), "root\nall of it");
    let as_nobody = Machine {
        run_as: Some("nobody".into()),
        ..asked.clone()
    };
    let exchange = read(&as_nobody, &Ssh::new(Options::new())).expect("the password is right");
    assert_eq!(exchange.outputs[0].text(), "nobody\nall of it");

    let wrong = Machine {
        sudo_password: Some("wrong".into()),
        ..asked.clone()
    };
    let ssh = Ssh::new(Options::new());
    for _ in 0..3 {
        let error = read(&wrong, &ssh).expect_err("the password is wrong");
        assert!(
            matches!(&error, Unreachable::NoCommands { why, .. } if why.contains("tried once"))
        );
    }
    let attempts =
        machine.ssh("sudo journalctl -q _COMM=sudo | grep -c 'incorrect password' || true");
    assert_eq!(attempts.trim(), "1", "no account is locked by dmp");

    machine.ssh("echo 'asked ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/asked >/dev/null");
    let exchange = read(&wrong, &Ssh::new(Options::new())).expect("it is not asked for");
    assert_eq!(exchange.outputs[0].text(), "root\nall of it");
}
