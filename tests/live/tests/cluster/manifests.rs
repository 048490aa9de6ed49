//! Manifests against a real API server, through a proxy that counts and makes faults: what a plan asks, what it says of
//! what the server would do, and what becomes of a run when the server does not answer well.

use std::time::{Duration, Instant};

use dmp_live::{Asked, Dmp, Fault, Outcome, Proxy, Verb};

use super::Stack;

/// A stack of its own, whose only way to the cluster is the proxy.
struct Manifests<'a> {
    stack: &'a Stack,
    proxy: Proxy,
    dmp: Dmp,
}

const MANIFESTS: &str = r#"
provider "kubernetes" {
  kubeconfig      = file("${path.root}/kubeconfig")
  request_seconds = 2
}

resource "k8s_manifest" "space" {
  manifest = { apiVersion = "v1", kind = "Namespace", metadata = { name = "trial" } }
}

resource "k8s_manifest" "settings" {
  force = FORCE
  manifest = {
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "settings", namespace = "trial" }
    data       = { SETTINGS }
  }
  depends_on = [k8s_manifest.space]
}

resource "k8s_manifest" "password" {
  manifest = {
    apiVersion = "v1"
    kind       = "Secret"
    metadata   = { name = "password", namespace = "trial" }
    data       = { password = base64encode(var.password) }
  }
  depends_on = [k8s_manifest.space]
}

resource "k8s_manifest" "work" {
  manifest = {
    apiVersion = "apps/v1"
    kind       = "Deployment"
    metadata   = { name = "work", namespace = "trial" }
    spec = {
      replicas = REPLICAS
      selector = { matchLabels = { app = "LABEL" } }
      template = {
        metadata = { labels = { app = "LABEL" } }
        spec = {
          containers = [{
            name      = "work"
            image     = "nowhere.example/work:1"
            resources = { limits = { cpu = "CPU" } }
          }]
        }
      }
    }
  }
  depends_on = [k8s_manifest.space]
}

variable "password" {
  type      = string
  sensitive = true
}
"#;

const PASSWORD: &str = "c29ycm93LXNvcnJvdw";

/// What a stack says that these tests change.
#[derive(Clone, Copy)]
struct Wanted {
    settings: &'static str,
    force: bool,
    replicas: &'static str,
    label: &'static str,
    cpu: &'static str,
}

const FIRST: Wanted = Wanted {
    settings: r#"color = "red""#,
    force: false,
    replicas: "0",
    label: "work",
    cpu: "1",
};

/// All of it, on the cluster of a stack that is applied.
pub(crate) fn against_a_proxy(stack: &Stack) {
    let kubeconfig = stack.dmp.run(["output", "--raw", "kubeconfig"]).success();
    let proxy = Proxy::before(&stack.lab, &kubeconfig.stdout);
    let dmp = Dmp::new(&stack.lab);
    dmp.write("kubeconfig", proxy.kubeconfig());
    dmp.write("values.auto.hcl", format!("password = \"{PASSWORD}\"\n"));
    let manifests = Manifests { stack, proxy, dmp };
    let start = Instant::now();
    manifests.a_plan_asks_once_for_each_kind();
    manifests.a_plan_says_what_the_server_would_do();
    manifests.fields_of_others_are_theirs();
    manifests.faults_are_survived_or_told();
    manifests.a_dead_server_is_named();
    manifests.what_is_there_is_imported();
    manifests.everything_goes();
    println!(
        "manifests through a proxy: {:.1} s",
        start.elapsed().as_secs_f64()
    );
}

impl Manifests<'_> {
    fn want(&self, wanted: Wanted) {
        let text = MANIFESTS
            .replace("SETTINGS", wanted.settings)
            .replace("FORCE", &wanted.force.to_string())
            .replace("REPLICAS", wanted.replicas)
            .replace("LABEL", wanted.label)
            .replace("CPU", wanted.cpu);
        self.dmp.write("main.hcl", text);
    }

    /// Runs dmp; whatever it says, the password is not in it.
    fn run(&self, words: &[&str]) -> Outcome {
        let ran = self.dmp.run(words);
        let secret = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!secret.contains(PASSWORD), "{secret}");
        ran
    }

    fn plan(&self) -> Outcome {
        self.run(&["plan", "--detailed-exitcode"])
    }

    fn apply(&self) -> Outcome {
        self.run(&["apply", "--yes"])
    }

    fn count(asked: &[Asked], verb: Verb) -> usize {
        asked.iter().filter(|asked| asked.verb == verb).count()
    }

    /// A plan has nothing to do, and asked for nothing but one list of each kind.
    fn is_at_rest(&self) {
        let _ = self.proxy.asked();
        let plan = self.plan().success();
        assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
        let asked = self.proxy.asked();
        let mut kinds: Vec<&str> = asked.iter().map(|asked| asked.kind.as_str()).collect();
        kinds.sort_unstable();
        assert_eq!(
            kinds,
            ["configmaps", "deployments", "namespaces", "secrets"],
            "{asked:?}"
        );
        assert_eq!(Self::count(&asked, Verb::List), 4, "{asked:?}");
    }

    fn on_plane(&self, script: &str) -> String {
        let kubectl = "sudo env KUBECACHEDIR=/run/kubectl kubectl --kubeconfig /etc/kubernetes/admin.conf -n trial";
        self.stack.machines[0].ssh(&script.replace("KUBECTL", kubectl))
    }

    fn color(&self) -> String {
        self.on_plane("KUBECTL get configmap settings -o jsonpath='{.data.color}'")
    }

    fn a_plan_asks_once_for_each_kind(&self) {
        self.want(FIRST);
        // Their namespace is made in the same run: three of four can't be tried yet.
        let applied = self.apply().success();
        assert!(applied.stderr.contains("4 changed"), "{}", applied.stderr);
        let asked = self.proxy.asked();
        assert_eq!(Self::count(&asked, Verb::Apply), 4, "{asked:?}");
        self.is_at_rest();
    }

    fn a_plan_says_what_the_server_would_do(&self) {
        // What the server writes in its own way is told, and is no difference afterwards.
        self.want(Wanted {
            cpu: "2000m",
            ..FIRST
        });
        let plan = self.plan().expect_code(2);
        let told =
            "the server keeps `spec.template.spec.containers[0].resources.limits.cpu` as \"2\"";
        assert!(plan.stdout.contains(told), "{}", plan.stdout);
        assert!(
            plan.stdout.contains("1 to change, 0 to replace"),
            "{}",
            plan.stdout
        );
        let asked = self.proxy.asked();
        assert_eq!(Self::count(&asked, Verb::DryRun), 1, "{asked:?}");
        assert_eq!(Self::count(&asked, Verb::Apply), 0, "{asked:?}");
        let _ = self.apply().success();
        self.is_at_rest();

        // What the server would refuse fails while it is planned, with the server's sentence.
        let refused = [
            (
                Wanted {
                    replicas: "-1",
                    ..FIRST
                },
                "must be greater than or equal to 0",
            ),
            (
                Wanted {
                    label: "other",
                    ..FIRST
                },
                "field is immutable",
            ),
            (
                Wanted {
                    cpu: "2",
                    replicas: "0\n paced = true",
                    ..FIRST
                },
                "field not declared in schema",
            ),
        ];
        for (wanted, why) in refused {
            self.want(wanted);
            let plan = self.plan().expect_code(1);
            assert!(plan.stderr.contains(why), "{}", plan.stderr);
            assert!(
                plan.stderr.contains("Deployment trial/work"),
                "{}",
                plan.stderr
            );
        }
        let asked = self.proxy.asked();
        assert_eq!(Self::count(&asked, Verb::Apply), 0, "{asked:?}");
    }

    fn fields_of_others_are_theirs(&self) {
        let settled = Wanted {
            cpu: "2000m",
            ..FIRST
        };
        // By hand: shown with the name of who did it, and mended.
        self.want(settled);
        let _ = self.on_plane("KUBECTL scale deployment work --replicas=1");
        let plan = self.plan().expect_code(2);
        assert!(
            plan.stdout
                .contains("takes `.spec.replicas` back from `kubectl`"),
            "{}",
            plan.stdout
        );
        let _ = self.apply().success();
        self.is_at_rest();

        // By another who declares it: an error, unless it is to be taken.
        let _ = self.on_plane(
            "KUBECTL apply --server-side --field-manager=painter --force-conflicts -f - <<'OBJECT'
{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"settings\"}, \"data\": {\"shape\": \"round\"}}
OBJECT",
        );
        let square = Wanted {
            settings: "color = \"red\", shape = \"square\"",
            ..settled
        };
        self.want(square);
        let plan = self.plan().expect_code(1);
        for words in [".data.shape", "`painter`", "force = true"] {
            assert!(plan.stderr.contains(words), "{words}: {}", plan.stderr);
        }
        let _ = self.apply().expect_code(1);
        self.want(Wanted {
            force: true,
            ..square
        });
        let _ = self.apply().success();
        self.is_at_rest();
        self.want(settled);
        let _ = self.apply().success();
        self.is_at_rest();
    }

    fn faults_are_survived_or_told(&self) {
        let settled = Wanted {
            cpu: "2000m",
            ..FIRST
        };
        let faults = [
            Fault::Reset,
            Fault::Busy(1),
            Fault::Broken,
            Fault::Hang,
            Fault::LostAnswer,
        ];
        // Once: survived, in a plan and in an apply, and nothing is done twice.
        let colors = ["blue", "green", "white", "black", "grey"];
        for (fault, color) in faults.into_iter().zip(colors) {
            let settings: &'static str = Box::leak(format!("color = \"{color}\"").into());
            self.want(Wanted {
                settings,
                ..settled
            });
            self.proxy.fail(1, Verb::List, fault);
            self.proxy.fail(1, Verb::DryRun, fault);
            let start = Instant::now();
            let _ = self.plan().expect_code(2);
            if fault == Fault::Busy(1) {
                assert!(start.elapsed() > Duration::from_secs(2), "Retry-After");
            }
            assert_eq!(self.proxy.heal(), 2, "{fault:?}");
            self.proxy.fail(1, Verb::Apply, fault);
            let _ = self.apply().success();
            assert_eq!(self.proxy.heal(), 1, "{fault:?}");
            assert_eq!(self.color(), color, "{fault:?}");
            self.is_at_rest();
        }
        // For ever: told with its reason, recorded, and the next apply goes on.
        self.want(Wanted {
            settings: "color = \"pink\"",
            ..settled
        });
        for (fault, why) in [
            (Fault::Hang, "no answer within"),
            (Fault::Busy(0), "too many requests"),
        ] {
            self.proxy.fail(1000, Verb::List, fault);
            let plan = self.plan().expect_code(3);
            assert!(plan.stderr.contains(why), "{}", plan.stderr);
            if fault == Fault::Hang {
                // While it is waited for there is a line on the screen.
                let line = "kubernetes: no answer for 3 s";
                assert!(plan.stderr.contains(line), "{}", plan.stderr);
            }
            let _ = self.proxy.heal();
            self.proxy.fail(1000, Verb::Apply, fault);
            let applied = self.apply().expect_code(3);
            assert!(applied.stderr.contains(why), "{}", applied.stderr);
            let _ = self.proxy.heal();
            assert_eq!(self.color(), "grey");
        }
        let _ = self.apply().success();
        assert_eq!(self.color(), "pink");
        self.is_at_rest();
    }

    /// What can't be reached is named in every verb; only what needs it stays undone.
    fn a_dead_server_is_named(&self) {
        let settled = Wanted {
            cpu: "2000m",
            settings: "color = \"pink\"",
            ..FIRST
        };
        self.want(settled);
        self.dmp.write("machine.hcl", self.machine("before"));
        let _ = self.apply().success();
        self.proxy.die();
        for words in [
            &["plan"][..],
            &["refresh"],
            &["apply", "--yes"],
            &["destroy", "--yes"],
        ] {
            let ran = self.run(words).expect_code(3);
            let what = match words[0] {
                "destroy" => "cannot delete an object",
                _ => "cannot read an object",
            };
            let said = ran.stderr.contains(what) && ran.stderr.contains("k8s_manifest.work");
            assert!(said, "{words:?}: {}", ran.stderr);
        }
        let _ = self.proxy.heal();
        self.is_at_rest();

        // It dies between the plan and the work: the machine's branch is done.
        self.want(Wanted {
            settings: "color = \"gold\"",
            ..settled
        });
        self.dmp.write("machine.hcl", self.machine("after"));
        self.proxy.fail(1000, Verb::Apply, Fault::Reset);
        let applied = self.apply().expect_code(3);
        assert!(
            applied.stderr.contains("1 changed, 1 failed"),
            "{}",
            applied.stderr
        );
        assert_eq!(self.stack.machines[1].ssh("cat /run/trial"), "after");
        let _ = self.proxy.heal();
        let _ = self.apply().success();
        assert_eq!(self.color(), "gold");
        self.is_at_rest();
    }

    /// A branch of the stack that needs no cluster.
    fn machine(&self, content: &str) -> String {
        let machine = &self.stack.machines[1];
        let key = self.stack.dmp.folder().join("key");
        format!(
            r#"
resource "host" "box" {{
  address  = "{}"
  user     = "{}"
  key_file = "{}"
}}

resource "host_file" "trial" {{
  host    = host.box.connection
  path    = "/run/trial"
  content = "{content}"
}}
"#,
            machine.address(),
            machine.user(),
            key.display()
        )
    }

    /// An object that somebody else made becomes dmp's as it is, and goes with the rest.
    fn what_is_there_is_imported(&self) {
        self.on_plane("KUBECTL -n default create configmap theirs --from-literal=color=blue");
        let block = |id: &str, color: &str| {
            format!(
                r#"
import {{
  to = k8s_manifest.theirs
  id = "{id}"
}}
resource "k8s_manifest" "theirs" {{
  manifest = {{
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = {{ name = "theirs" }}
    data       = {{ color = "{color}" }}
  }}
}}
"#
            )
        };
        self.dmp
            .write("theirs.hcl", block("v1 ConfigMap default/other", "blue"));
        let refused = self.run(&["plan"]).expect_code(1);
        assert!(
            refused.stderr.contains("names another object"),
            "{}",
            refused.stderr
        );
        self.dmp
            .write("theirs.hcl", block("v1 ConfigMap default/theirs", "blue"));
        let planned = self.run(&["plan"]).success();
        assert!(
            planned.stdout.contains("1 to import") && planned.stdout.contains("0 to create"),
            "{}",
            planned.stdout
        );
        let _ = self.apply().success();
        self.is_at_rest();
    }

    fn everything_goes(&self) {
        self.proxy.fail(1, Verb::Delete, Fault::LostAnswer);
        let _ = self.run(&["destroy", "--yes"]).success();
        assert_eq!(self.proxy.heal(), 1);
        let listed = self.run(&["state", "list"]).success();
        assert_eq!(listed.stdout, "");
        let left =
            self.on_plane("KUBECTL -n default get configmap theirs --ignore-not-found -o name");
        assert_eq!(left, "", "what was imported goes too");
    }
}
