//! `modules/docker-host` and Compose projects with a real Docker: brought up, altered by a stranger, changed service by
//! service, cut off at each step, ill, somebody else's, imported, and destroyed without the data.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use dmp_live::{Dmp, Lab, Machine};

use crate::alone::host;

/// Docker from the distribution, without dmp, an image `tiny:1`, and no project `tried`.
pub(crate) const WITH_AN_IMAGE: &str = r#"
set -e
if ! command -v docker >/dev/null; then
    sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker.io docker-cli docker-compose busybox-static >/dev/null
fi
if ! sudo docker image inspect tiny:1 >/dev/null 2>&1; then
    mkdir -p tiny/bin tiny/tmp
    cp /bin/busybox tiny/bin/
    for tool in sh sleep cat test httpd wget echo; do ln -sf busybox tiny/bin/$tool; done
    tar -C tiny -c . | sudo docker import -c 'CMD ["sh", "-c", "trap \"exit 0\" TERM; echo here; while :; do sleep 1; done"]' - tiny:1 >/dev/null
fi
sudo docker compose -p tried down -v -t 0 2>/dev/null
sudo rm -rf /srv/tried
"#;

/// A registry on the machine with two tags of the image, of which the machine itself has none.
const WITH_A_REGISTRY: &str = r#"
set -e
sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker-registry >/dev/null
printf '%s\n' 'version: 0.1' 'storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}' 'http: {addr: "127.0.0.1:5000"}' |
    sudo tee /etc/docker/registry/config.yml >/dev/null
sudo systemctl restart docker-registry
until (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null; do sleep 0.2; done
sudo docker tag tiny:1 127.0.0.1:5000/tiny:1
sudo docker push -q 127.0.0.1:5000/tiny:1
echo 2 >tiny/two
tar -C tiny -c . | sudo docker import -c 'CMD ["sh", "-c", "trap \"exit 0\" TERM; echo here; while :; do sleep 1; done"]' - 127.0.0.1:5000/tiny:2
sudo docker push -q 127.0.0.1:5000/tiny:2
sudo docker rmi tiny:1 127.0.0.1:5000/tiny:1 127.0.0.1:5000/tiny:2
"#;

const COMPOSE: &str = r#"services:
  web:
    image: 127.0.0.1:5000/tiny:1
    restart: unless-stopped
    stop_grace_period: 1s
    command: ["sh", "-c", "echo serves $$GREETING; httpd -f -p 8080 -h /site"]
    env_file: .env
    volumes: ["./site:/site:ro"]
    ports: ["8080:8080"]
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/page"]
      interval: 1s
      retries: 3
    depends_on:
      migrate: {condition: service_completed_successfully}
  db:
    image: 127.0.0.1:5000/tiny:1
    restart: unless-stopped
    stop_grace_period: 1s
    volumes: ["data:/data"]
  migrate:
    image: 127.0.0.1:5000/tiny:1
    command: ["sh", "-c", "echo migrated"]
volumes:
  data:
"#;

struct Site {
    lab: Lab,
    dmp: Dmp,
    machine: Machine,
}

impl Site {
    fn new() -> Self {
        let lab = Lab::of_this_suite();
        let [machine] = lab.machines(["n1"]);
        machine.ssh("sudo apt-get -qq update");
        let dmp = Dmp::new(&lab);
        Self { lab, dmp, machine }
    }

    /// Writes a stack of the module, with more of its arguments.
    fn module(&self, arguments: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules/docker-host");
        let root = root.canonicalize().expect("the module is there");
        let host = host(&self.machine);
        self.dmp.write(
            "main.hcl",
            format!(
                "{host}
module \"docker\" {{
  source        = \"{}\"
  host          = host.box.connection
  address_pools = [{{ base = \"10.200.0.0/16\", size = 24 }}]
  members       = [\"alice\"]
{arguments}
}}
output \"services\" {{
  value = module.docker.services
}}
",
                root.display()
            ),
        );
    }

    /// The same with the project of this Compose file, page and environment.
    fn project(&self, compose: &str, page: &str, env: &str) {
        self.dmp.write("app/compose.yaml", compose);
        self.dmp.write("app/page", page);
        self.module(&format!(
            "  projects = {{
    app = {{
      files        = {{ \"compose.yaml\" = file(\"app/compose.yaml\"), \"site/page\" = file(\"app/page\") }}
      env          = \"GREETING='{env}'\\n\"
      wait_timeout = 60
    }}
  }}"
        ));
    }

    fn plan(&self) -> String {
        self.dmp
            .run(["plan", "--detailed-exitcode"])
            .expect_code(2)
            .stdout
    }

    fn apply(&self) {
        let _ = self.dmp.run(["apply", "--yes"]).success();
        self.is_settled();
    }

    fn is_settled(&self) {
        let _ = self.dmp.run(["plan", "--detailed-exitcode"]).success();
        let verified = self.dmp.run(["state", "verify"]).success();
        assert!(
            verified.stdout.contains("0 open intents"),
            "{}",
            verified.stdout
        );
    }

    /// The container of a service of `app`, and since when it runs.
    fn container(&self, service: &str) -> (String, String) {
        let said = self.machine.ssh(&format!(
            "sudo docker inspect --format '{{{{.ID}}}} {{{{.State.StartedAt}}}}' app-{service}-1"
        ));
        let (id, since) = said.trim().split_once(' ').expect("both");
        (id.to_owned(), since.to_owned())
    }

    fn page(&self) -> Option<String> {
        self.lab
            .get(&format!("http://{}:8080/page", self.machine.address()))
    }

    /// Kills dmp when the step of this number has begun on the machine; `false` if it went to its end before.
    fn killed_at_step(&self, verb: &str, number: usize) -> bool {
        let mut command = self.dmp.command();
        command.args([verb, "--yes", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut run = command.spawn().expect("dmp starts");
        let lines = BufReader::new(run.stdout.take().expect("it is piped")).lines();
        let mut steps = 0;
        for line in lines.map_while(Result::ok) {
            steps += usize::from(line.contains("\"step_started\""));
            if steps == number {
                // What runs on the machine runs on.
                let _ = run.kill();
                break;
            }
        }
        run.wait().expect("it ends").code().is_none()
    }
}

/// What a run says that does not do what was asked.
fn refused(dmp: &Dmp, verb: &str) -> String {
    let outcome = dmp.run(
        [verb]
            .into_iter()
            .chain((verb == "apply").then_some("--yes")),
    );
    assert_ne!(outcome.code, Some(0), "{}", outcome.stdout);
    outcome.stderr
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn docker_and_a_compose_project_are_made_kept_and_taken_away() {
    let site = Site::new();
    site.machine
        .ssh("sudo apt-get -qq install -y --no-install-recommends busybox-static >/dev/null");
    site.module("");
    site.apply();
    let settings = site.machine.ssh(
        "sudo docker info --format '{{.LoggingDriver}} {{.LiveRestoreEnabled}} {{(index .DefaultAddressPools 0).Base}}'
         sudo -u alice docker ps -q && id -nG alice",
    );
    assert_eq!(settings, "local true 10.200.0.0/16\nalice docker\n");
    site.machine.ssh(WITH_AN_IMAGE);
    site.machine.ssh(WITH_A_REGISTRY);

    the_project_is_brought_up(&site);
    strangers_are_seen_and_mended(&site);
    only_what_changes_is_touched(&site);
    what_is_ill_is_told_in_a_sentence(&site);
    what_is_cut_off_is_gone_on_with(&site);

    site.machine
        .ssh("sudo sh -c 'echo precious >/var/lib/docker/volumes/app_data/_data/kept'");
    let planned = site.dmp.run(["plan", "--destroy"]).success().stdout;
    assert!(planned.contains("its volumes stay: app_data"), "{planned}");
    let _ = site.dmp.run(["destroy", "--yes"]).success();
    let left = site.machine.ssh(
        "sudo cat /var/lib/docker/volumes/app_data/_data/kept; ls -d /srv/app /etc/docker/daemon.json 2>/dev/null; command -v docker; dpkg-statoverride --list | grep docker; true",
    );
    assert_eq!(left, "precious\n", "the data stay, and nothing else");
}

fn the_project_is_brought_up(site: &Site) {
    site.project(COMPOSE, "one", "hello");
    let planned = site.plan();
    for expected in [
        "web is created",
        "db is created",
        "pulled: 127.0.0.1:5000/tiny:1",
    ] {
        assert!(planned.contains(expected), "{expected}: {planned}");
    }
    assert!(!planned.contains("hello"), "the environment is secret");
    site.apply();
    assert_eq!(site.page().as_deref(), Some("one"));
    let services = site.dmp.run(["output", "--json", "services"]).success();
    for expected in [
        "\"web\":\"running\"",
        "\"db\":\"running\"",
        "\"migrate\":\"completed\"",
    ] {
        let said: String = services.stdout.split_whitespace().collect();
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let modes = site
        .machine
        .ssh("stat -c '%a %n' /srv/app/compose.yaml /srv/app/.env");
    assert_eq!(modes, "644 /srv/app/compose.yaml\n600 /srv/app/.env\n");
}

fn strangers_are_seen_and_mended(site: &Site) {
    for (stranger, drift, fate) in [
        (
            "sudo docker stop app-db-1",
            "db  ",
            "db is started: it is stopped (status 0)",
        ),
        ("sudo docker rm -f app-db-1", "missing", "db is created"),
        (
            "cd /srv/app && echo two | sudo tee site/page",
            "site/page",
            "web is restarted: it mounts site/page",
        ),
        (
            "sudo docker pull -q 127.0.0.1:5000/tiny:2 && sudo docker tag 127.0.0.1:5000/tiny:2 127.0.0.1:5000/tiny:1",
            "of an earlier image than `127.0.0.1:5000/tiny:1` is now",
            "db is recreated: `127.0.0.1:5000/tiny:1` is another image now",
        ),
    ] {
        site.machine.ssh(stranger);
        let planned = site.plan();
        assert!(
            planned.contains("Changed outside of dmp")
                && planned.contains(drift)
                && planned.contains(fate),
            "{stranger}: {planned}"
        );
        site.apply();
        assert_eq!(site.page().as_deref(), Some("one"), "{stranger}");
    }
}

fn only_what_changes_is_touched(site: &Site) {
    let before = ["web", "db"].map(|service| site.container(service));
    site.project(COMPOSE, "two", "hello");
    site.apply();
    let after = ["web", "db"].map(|service| site.container(service));
    assert_eq!(site.page().as_deref(), Some("two"));
    assert_eq!(before[0].0, after[0].0, "web is the same container");
    assert_ne!(before[0].1, after[0].1, "and was restarted");
    assert_eq!(before[1], after[1], "db was not");

    let changed = COMPOSE.replace("data:/data", "data:/elsewhere");
    site.project(&changed, "two", "hello");
    let planned = site.plan();
    assert!(
        planned.contains("db is recreated: its configuration is another"),
        "{planned}"
    );
    assert!(
        planned.contains("as it is: web") && planned.contains("! restarts db"),
        "{planned}"
    );
    site.apply();
    assert_eq!(site.container("web"), after[0]);
    assert_ne!(site.container("db").0, after[1].0);

    let db = site.container("db");
    site.project(&changed, "two", "good day");
    site.apply();
    assert_eq!(
        site.container("db"),
        db,
        "by the environment only web is another"
    );
    assert_ne!(site.container("web").0, after[0].0);

    let fewer: String = changed.replace("  db:\n", "  store:\n");
    site.project(&fewer, "two", "good day");
    let planned = site.plan();
    assert!(
        planned.contains("db is removed: the files do not have it"),
        "{planned}"
    );
    site.apply();
    site.project(COMPOSE, "two", "hello");
    site.apply();
}

fn what_is_ill_is_told_in_a_sentence(site: &Site) {
    let ill = COMPOSE.replace(":8080/page\"", ":8080/nothing\"");
    site.project(&ill, "two", "hello");
    let failed = refused(&site.dmp, "apply");
    for expected in [
        "the service web is unhealthy",
        "its health check said: ",
        "404",
        "its last lines:",
        "serves hello",
    ] {
        assert!(failed.contains(expected), "{expected}: {failed}");
    }
    site.project(COMPOSE, "two", "hello");
    site.apply();

    let broken = COMPOSE.replace("services:", "services: [");
    site.project(&broken, "two", "hello");
    let failed = refused(&site.dmp, "plan");
    assert!(
        failed.contains("Compose does not take the files"),
        "{}",
        failed
    );
    site.project(COMPOSE, "two", "hello");
}

fn what_is_cut_off_is_gone_on_with(site: &Site) {
    let mut killed = 0;
    for number in 1..=6 {
        let page = format!("page {number}");
        let compose = COMPOSE.replace("data:/data", &format!("data:/data{number}"));
        site.project(&compose, &page, "hello");
        let was_killed = site.killed_at_step("apply", number);
        site.apply();
        assert_eq!(site.page(), Some(page), "killed at step {number}");
        killed += usize::from(was_killed);
        if !was_killed {
            break;
        }
    }
    println!("killed at {killed} steps of an update");
    assert!(killed >= 3, "there are more steps");

    // Compose itself is killed while it replaces a container, and leaves one behind that is in its way.
    site.machine.ssh(
        "sudo sh -c 'while :; do
             if [ -n \"$(docker ps -aq --filter status=created --filter label=com.docker.compose.replace)\" ]; then pkill -9 docker-compose; exit; fi
         done' >/dev/null 2>&1 </dev/null &",
    );
    site.project(
        &COMPOSE.replace("1s\n    command", "20s\n    command"),
        "last",
        "hello",
    );
    let failed = refused(&site.dmp, "apply");
    println!(
        "Compose was killed: {}",
        failed.lines().take(8).collect::<Vec<_>>().join(" / ")
    );
    site.apply();
    assert_eq!(site.page().as_deref(), Some("last"));
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn a_compose_project_by_docker_of_somebody_else_is_refused_until_it_is_imported() {
    let site = Site::new();
    site.machine.ssh(WITH_AN_IMAGE);
    let compose = "services: {web: {image: \"tiny:1\", restart: always, stop_grace_period: 1s, volumes: [\"data:/data\"]}}\nvolumes: {data: {}}\n";
    site.machine.ssh(&format!(
        "sudo mkdir /srv/theirs && cd /srv/theirs && printf '%s' '{compose}' | sudo tee compose.yaml >/dev/null
         sudo docker compose -p theirs up -d 2>/dev/null"
    ));
    let write = |directory: &str, more: &str| {
        site.dmp.write("compose.yaml", compose);
        site.dmp.write(
            "main.hcl",
            format!(
                "{}
resource \"host_compose_project\" \"theirs\" {{
  host           = host.box.connection
  name           = \"theirs\"
  directory      = \"{directory}\"
  files          = {{ \"compose.yaml\" = file(\"compose.yaml\") }}
  pull           = \"never\"
  delete_volumes = true
}}
{more}",
                host(&site.machine)
            ),
        );
    };
    let ids = || {
        site.machine
            .ssh("sudo docker ps -q --filter name=theirs-web-1")
    };
    let id = ids();
    write("/srv/theirs", "");
    let failed = refused(&site.dmp, "plan");
    assert!(
        failed.contains("a Compose project that dmp has not made")
            && failed.contains("`import` block"),
        "{failed}"
    );
    write("/srv/mine", "");
    let failed = refused(&site.dmp, "apply");
    assert!(
        failed.contains("is one of the directory `/srv/theirs`"),
        "{failed}"
    );
    assert_eq!(ids(), id, "and nothing has happened to it");

    write(
        "/srv/theirs",
        "import {\n  to = host_compose_project.theirs\n  id = \"theirs\"\n}\n",
    );
    site.apply();
    assert_eq!(ids(), id, "an import touches nothing");

    let planned = site.dmp.run(["plan", "--destroy"]).success().stdout;
    assert!(
        planned.contains("LOSES DATA: volumes theirs_data"),
        "{planned}"
    );
    let _ = site.dmp.run(["destroy", "--yes"]).success();
    let left = site.machine.ssh(
        "sudo docker ps -aq; sudo docker volume ls -q; sudo docker network ls -q --filter label=com.docker.compose.project=theirs; ls /srv/theirs",
    );
    assert_eq!(left, "", "containers, volume, network and files are gone");
}

#[test]
#[ignore = "needs a lab: cargo xtask live hosts"]
fn where_docker_is_not_or_is_too_old_a_compose_project_is_refused() {
    let lab = Lab::of_this_suite();
    let older = lab.machine_of("bookworm", "n2");
    let dmp = Dmp::new(&lab);
    dmp.write(
        "main.hcl",
        format!(
            "{}
resource \"host_compose_project\" \"app\" {{
  host      = host.box.connection
  name      = \"app\"
  directory = \"/srv/app\"
  files     = {{ \"compose.yaml\" = \"services: {{web: {{image: x}}}}\\n\" }}
}}
",
            host(&older)
        ),
    );
    // In the first plan the machine itself is new: what it lacks may come about.
    let failed = refused(&dmp, "apply");
    assert!(
        failed.contains("Docker is not there: the machine needs"),
        "{failed}"
    );
    let failed = refused(&dmp, "plan");
    assert!(
        failed.contains("no Docker Compose on the machine"),
        "{failed}"
    );
    older.ssh("sudo apt-get -qq update; sudo apt-get -qq install -y --no-install-recommends docker.io docker-compose >/dev/null 2>&1");
    let failed = refused(&dmp, "plan");
    assert!(
        failed.contains("Docker has no plugin `compose`; docker-compose is there, by itself"),
        "{failed}"
    );
    let _ = dmp.run(["destroy", "--yes"]).success();
    older.ssh("test ! -e /srv/app");
}
