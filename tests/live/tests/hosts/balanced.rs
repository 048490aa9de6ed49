//! `modules/load-balancer` with the real HAProxy before the real nginx: in turn, without a server that is down, and without
//! losing a connection where the list of servers changes.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use dmp_live::{Dmp, Lab, Machine};

fn stack(machines: &[&Machine], servers: &[&str]) -> String {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules/load-balancer");
    let module = module.canonicalize().expect("the module is there");
    let of = |machine: &&Machine| {
        format!(
            "    {} = {{ address = \"{}\", user = \"{}\", key_file = \"{}\", host_key = \"{}\" }}\n",
            machine.name(),
            machine.address(),
            machine.user(),
            machine.key().display(),
            machine.host_key()
        )
    };
    let all: String = machines.iter().map(of).collect();
    let servers: Vec<String> = servers.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        r#"
locals {{
  machines = {{
{all}  }}
  webs = toset(["n2", "n3"])
}}
resource "host" "node" {{
  for_each = local.machines
  address  = each.value.address
  user     = each.value.user
  key_file = each.value.key_file
  host_key = each.value.host_key
}}
resource "host_package" "nginx" {{
  for_each = local.webs
  host     = host.node[each.key].connection
  names    = ["nginx-light"]
}}
resource "host_file" "page" {{
  for_each   = local.webs
  host       = host.node[each.key].connection
  path       = "/var/www/html/name"
  content    = "${{each.key}}\n"
  depends_on = [host_package.nginx]
}}
module "balancer" {{
  source = "{}"
  host   = host.node["n1"].connection
  services = {{
    web = {{
      port    = 8080
      check   = "/name"
      servers = {{ for name in [{}] : name => "${{local.machines[name].address}}:80" }}
    }}
    ssh = {{
      port    = 2222
      mode    = "tcp"
      servers = {{ n2 = "${{local.machines["n2"].address}}:22" }}
    }}
  }}
  depends_on = [host_file.page]
}}
output "ports" {{
  value = module.balancer.ports
}}
"#,
        module.display(),
        servers.join(", ")
    )
}

/// Who answers, in some requests after each other.
fn answers(lab: &Lab, balancer: &Machine) -> Vec<String> {
    let url = format!("http://{}:8080/name", balancer.address());
    let mut said: Vec<String> = (0..6)
        .map(|_| lab.get(&url).unwrap_or_default().trim().to_owned())
        .collect();
    said.sort();
    said.dedup();
    said
}

fn until(lab: &Lab, balancer: &Machine, wanted: &[&str]) {
    let begun = Instant::now();
    loop {
        let said = answers(lab, balancer);
        if said == wanted {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{said:?}, not {wanted:?}"
        );
    }
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn connections_go_to_servers_that_answer_and_outlive_a_change_of_the_list() {
    let lab = Lab::of_this_suite();
    let machines = lab.machines(["n1", "n2", "n3"]);
    let all: Vec<&Machine> = machines.iter().collect();
    let [balancer, first, _] = &machines;
    for machine in &machines {
        machine.ssh("sudo apt-get -qq update");
    }
    let dmp = Dmp::new(&lab);
    dmp.write("main.hcl", stack(&all, &["n2", "n3"]));
    let _ = dmp.run(["apply", "--yes"]).success();
    until(&lab, balancer, &["n2", "n3"]);
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    // One that is down gets nothing, and is back when it answers.
    first.ssh("sudo systemctl stop nginx");
    until(&lab, balancer, &["n3"]);
    first.ssh("sudo systemctl start nginx");
    until(&lab, balancer, &["n2", "n3"]);

    // A connection that is open while the list changes goes on.
    let port = format!("exec cat <>/dev/tcp/{}/2222", balancer.address());
    let mut open = lab
        .enter("bash")
        .args(["-c", &port])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash runs");
    let before = balancer.ssh("systemctl show -p MainPID --value haproxy");
    dmp.write("main.hcl", stack(&all, &["n3"]));
    let plan = dmp.run(["plan"]).success();
    assert!(
        plan.stdout
            .contains("haproxy.service reads its configuration anew, and runs on"),
        "{}",
        plan.stdout
    );
    let _ = dmp.run(["apply", "--yes"]).success();
    until(&lab, balancer, &["n3"]);
    assert_eq!(
        balancer.ssh("systemctl show -p MainPID --value haproxy"),
        before
    );
    assert!(
        open.try_wait().expect("can be waited for").is_none(),
        "the connection was cut"
    );
    open.kill().expect("ends");
    let heard = open.wait_with_output().expect("has ended").stdout;
    assert!(heard.starts_with(b"SSH-2.0-"), "{heard:?}");

    // Whoever changes the file by hand is found out.
    balancer.ssh("sudo sed -i 's/balance roundrobin/balance nonsense/' /etc/haproxy/haproxy.cfg");
    let plan = dmp.run(["plan", "--detailed-exitcode"]).expect_code(2);
    assert!(plan.stdout.contains("nonsense"), "{}", plan.stdout);
    let _ = dmp.run(["apply", "--yes"]).success();
    let _ = dmp.run(["plan", "--detailed-exitcode"]).success();

    let _ = dmp.run(["destroy", "--yes"]).success();
    balancer.ssh("! command -v haproxy && [ ! -e /etc/haproxy/haproxy.cfg ]");
}
