//! The contract's clauses for the type that needs a cluster: objects of a real API server. The suite speaks with it from
//! inside the lab's network: the test runs a second time there.

use std::sync::Arc;

use dmp_live::{Lab, Machine};
use dmp_provider_kubernetes::KubernetesProvider;
use dmp_sdk::testing::conformance::{Case, Stranger, check};
use dmp_sdk::{Configured, Machines, Provider, Resource, Value};
use dmp_transport::{Options, Ssh};

use super::Stack;

#[test]
#[ignore = "needs a lab: cargo xtask live cluster"]
fn k8s_manifest_keeps_the_contract() {
    let lab = Lab::of_this_suite();
    if let Some(machine) = lab.from_outside() {
        try_all(&Arc::new(machine));
        return;
    }
    let stack = Stack::of_example(&lab);
    stack.alone();
    let _ = stack.dmp.run(["apply", "--yes"]).success();
    lab.run_inside(
        "contract::k8s_manifest_keeps_the_contract",
        &stack.machines[0],
    );
}

fn kubectl(plane: &Machine, words: &str) {
    plane.ssh(&format!(
        "sudo env KUBECACHEDIR=/run/kubectl kubectl --kubeconfig /etc/kubernetes/admin.conf {words}"
    ));
}

fn configured(plane: &Machine) -> (Arc<dyn Configured>, Arc<dyn Resource>, Arc<dyn Machines>) {
    let kubeconfig = plane.ssh("sudo cat /etc/kubernetes/admin.conf");
    let provider = KubernetesProvider::new();
    let config = Value::object_of([("kubeconfig", kubeconfig.as_str().into())]);
    let machines: Arc<dyn Machines> = Arc::new(Ssh::new(Options::new()));
    let configured = provider
        .configure(&config, Arc::clone(&machines))
        .expect("it is a kubeconfig");
    let resources = provider.resources().into_iter();
    let mut manifests =
        resources.filter(|resource| resource.schema().name.as_ref() == "k8s_manifest");
    (configured, manifests.next().expect("is offered"), machines)
}

fn settings(color: &str) -> Value {
    let metadata = Value::object_of([("name", "tried".into()), ("namespace", "default".into())]);
    let manifest = Value::object_of([
        ("apiVersion", "v1".into()),
        ("kind", "ConfigMap".into()),
        ("metadata", metadata),
        ("data", Value::object_of([("color", color.into())])),
    ]);
    Value::object_of([("manifest", manifest)])
}

fn try_all(plane: &Arc<Machine>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let (cluster, resource, machines) = configured(plane);
    let make = || {
        kubectl(plane, "delete configmap tried --ignore-not-found");
        let there = Arc::clone(plane);
        let outside = move |stranger| match stranger {
            Stranger::Deletes => kubectl(&there, "delete configmap tried"),
            Stranger::Alters => kubectl(
                &there,
                r#"patch configmap tried --type=merge -p '{"data":{"color":"theirs"}}'"#,
            ),
        };
        let counted = Arc::clone(plane);
        Case::new(
            Arc::clone(&resource),
            Arc::clone(&cluster),
            settings("red"),
            outside,
        )
        .on(Arc::clone(&machines))
        .changing(settings("green"))
        .counted(move || {
            let found = counted.ssh("sudo env KUBECACHEDIR=/run/kubectl kubectl --kubeconfig /etc/kubernetes/admin.conf get configmap tried --ignore-not-found -o name");
            found.lines().count()
        })
    };
    let report = runtime.block_on(check(make));
    println!("{report}");
    report
        .judge("k8s_manifest_keeps_the_contract")
        .unwrap_or_else(|why| panic!("{why}"));
}
