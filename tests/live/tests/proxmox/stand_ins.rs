//! The stand-ins of `process` machines beside the real tools of a whole system: the same scripts, the same answers.
//!
//! What is compared is what dmp's own resources ask and do: exit codes, what is printed on standard output, and what is there
//! afterwards. Complaints are worded differently.

use super::served::Served;

/// Scripts that are run on both, with a name for each.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "a unit's life",
        "printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/one.service
         systemctl daemon-reload; echo $?
         systemctl is-active one; echo $?; systemctl is-enabled one; echo $?
         systemctl show -p LoadState -p ActiveState -p UnitFileState -- one.service
         systemctl -q enable one; echo $?; systemctl is-enabled one; echo $?
         systemctl start -- one; echo $?; systemctl is-active one; echo $?
         systemctl show -p ActiveState --value one
         test \"$(systemctl show -p MainPID --value one)\" -gt 1; echo $?
         systemctl restart -- one; echo $?; systemctl start one; echo $?
         systemctl reload -- one; echo $?
         systemctl try-restart one; echo $?
         systemctl stop -- one; echo $?; systemctl is-active one; echo $?
         systemctl try-restart one; echo $?; systemctl is-active -q one; echo $?
         systemctl disable -q one; echo $?; systemctl is-enabled one; echo $?
         systemctl enable -q --now one; systemctl is-active one; systemctl disable -q --now one; systemctl is-active one",
    ),
    (
        "masked, and unmasked",
        "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >/etc/systemd/system/../../../run/two.service
         mkdir -p /usr/local/lib/systemd/system; cp /run/two.service /usr/local/lib/systemd/system/two.service; systemctl daemon-reload
         systemctl is-enabled two; echo $?
         systemctl -q mask -- two; echo $?; systemctl is-enabled two; echo $?
         systemctl show -p LoadState --value two; systemctl start two; echo $?
         systemctl -q unmask -- two; echo $?; systemctl start two; echo $?; systemctl is-active two; systemctl stop two",
    ),
    (
        "a unit that fails, and one that ends",
        "printf '[Service]\\nType=oneshot\\nExecStart=/bin/false\\n' >/etc/systemd/system/bad.service
         printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n' >/etc/systemd/system/good.service
         printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >/etc/systemd/system/short.service
         printf '[Service]\\nType=exec\\nExecStart=/bin/cat /etc/shadow\\nUser=nobody\\nExecReload=/bin/true\\n' >/etc/systemd/system/none.service
         systemctl daemon-reload
         systemctl start bad; echo $?; systemctl is-active -q bad; test $? -ne 0; echo $?
         systemctl start good; echo $?; systemctl is-active good; echo $?
         systemctl start short; echo $?; systemctl is-active short; echo $?
         systemctl reload none; echo $?",
    ),
    (
        "a unit that is not there",
        "for verb in start restart reload; do systemctl $verb no-such; echo $verb $?; done
         systemctl show -p LoadState -p ActiveState -p UnitFileState -- no-such.service
         systemctl is-active no-such; echo $?
         systemctl enable no-such; echo $?",
    ),
    (
        "as another user",
        "printf '[Service]\\nType=oneshot\\nUser=nobody\\nRemainAfterExit=yes\\nExecStart=/bin/sh -c \"id -un >/tmp/who\"\\n' >/etc/systemd/system/who.service
         systemctl daemon-reload; systemctl start who; echo $?; cat /tmp/who",
    ),
    (
        "packages that are there and that are not",
        "dpkg-query -W -f='${db:Status-Abbrev}' -- no-such-package; echo $?
         apt-get -q -y install No_Such_Package >/dev/null; echo $?
         dpkg --print-architecture
         dpkg --audit; echo $?",
    ),
    (
        "settings of the kernel",
        "sysctl -n -- vm.swappiness >/dev/null; echo $?
         sysctl -qw vm.swappiness=7; sysctl -n vm.swappiness; sysctl vm.swappiness
         sysctl -w net.ipv4.ip_forward=1; sysctl -n net.ipv4.ip_forward
         printf '# a word\\nvm.swappiness = 9\\n\\n' >/etc/sysctl.d/50-x.conf; sysctl -q -p /etc/sysctl.d/50-x.conf; echo $?; sysctl -n vm.swappiness
         echo vm.swappiness=11 | sysctl -q -p -; echo $?; sysctl -n vm.swappiness
         sysctl -n no.such.setting; test $? -ne 0; echo $?
         sysctl -qw no.such.setting=1; test $? -ne 0; echo $?",
    ),
    (
        "users and groups",
        "groupadd staff2; echo $?; groupadd staff2; echo $?
         useradd -m -s /bin/sh -c 'A person' -G staff2 -- alice; echo $?
         useradd alice; echo $?
         grep ^alice: /etc/passwd | cut -d : -f 1,5,6,7; test -d /home/alice; echo $?
         grep ^staff2: /etc/group | cut -d : -f 1,4; getent group alice | cut -d : -f 1
         useradd -r -s /usr/sbin/nologin -d /nonexistent daemon2; echo $?; test $(id -u daemon2) -lt 1000; echo $?
         useradd -G no-such bob; test $? -ne 0; echo $?
         userdel -r alice 2>/dev/null; echo $?; id alice 2>/dev/null; echo $?; test -e /home/alice; echo $?
         userdel alice; echo $?",
    ),
    (
        "names",
        "hostnamectl set-hostname -- renamed; echo $?; hostname; cat /etc/hostname",
    ),
    (
        "mounts",
        "mkdir -p /mnt/a /mnt/b; echo here >/mnt/a/file
         mount --bind /mnt/a /mnt/b; echo $?; cat /mnt/b/file; umount -- /mnt/b; echo $?; test -e /mnt/b/file; echo $?
         mount -t tmpfs -o size=1m tmpfs /mnt/a; echo $?; grep -c ' /mnt/a tmpfs ' /proc/mounts; umount /mnt/a; echo $?
         mount /dev/no-such /mnt/a; echo $?; umount /mnt/a; echo $?
         echo 'tmpfs /mnt/b tmpfs size=1m 0 0' >>/etc/fstab; mount /mnt/b; echo $?; umount /mnt/b; echo $?",
    ),
    (
        "the superuser, and others",
        "sudo -n id -u; sudo -n -u nobody id -un; sudo -n sh -c 'exit 7'; echo $?; sudo -n -u no-such true; echo $?
         sudo -n A=b sh -c 'echo $A'; echo in | sudo -n cat",
    ),
];

#[test]
#[ignore = "needs a lab: cargo xtask live proxmox"]
fn stand_ins_answer_as_the_real_tools_do() {
    let image = dmp_live::Lab::of_this_suite().value("image").to_owned();
    let served = Served::with(&[("--root", &format!("whole={image}"))]);
    // 9000 is the site's own template, of which `process` machines are made; 9001 is the root file system.
    let real = {
        let form = [("newid", "101"), ("name", "real"), ("full", "1")];
        served.done("POST", "/nodes/pve1/qemu/9001/clone", &form);
        served.told(101, &[("ipconfig0", "ip=10.89.0.41/24,gw=10.89.0.1")]);
        served.power(101, "start");
        let machine = served.known("10.89.0.41");
        machine.is_up();
        machine
    };
    let stand_in = {
        served.guest(102, "stand-in", &[("ipconfig0", "ip=127.30.77.2/24")]);
        served.power(102, "start");
        let mut machine = served.known("127.30.77.2");
        machine.port = 2222;
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !machine.answers() {
            assert!(std::time::Instant::now() < until, "it is not reached");
        }
        machine
    };

    let mut differences = Vec::new();
    for (name, script) in SCRIPTS {
        let script: String = script
            .lines()
            .map(|line| format!("{}\n", line.trim()))
            .collect();
        let command = format!("sudo sh -c '{}' 2>/dev/null", script.replace('\'', "'\\''"));
        let answers = [&real, &stand_in].map(|machine| {
            let output = machine.run(&command);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            format!("{said}ended with {:?}\n", output.status.code())
        });
        if answers[0] != answers[1] {
            differences.push(format!(
                "{name}\n-- real\n{}-- stand-in\n{}",
                answers[0], answers[1]
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
