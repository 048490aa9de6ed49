//! A site with machines, package repositories, a registry and names: `cargo xtask live cluster`.

use dmp_live::Lab;

#[test]
#[ignore = "needs a lab: cargo xtask live cluster"]
fn a_bare_machine_finds_what_a_site_serves() {
    let lab = Lab::of_this_suite();
    let [machine] = lab.machines(["n1"]);

    // A bare machine has neither curl nor gpg; apt takes armoured keys as they are.
    for (name, url) in [
        ("kubernetes", lab.value("apt_kubernetes_key")),
        ("containerd", lab.value("apt_containerd_key")),
    ] {
        let key = lab.get(url).expect("the key is served");
        machine.ssh(&format!("sudo mkdir -p /etc/apt/keyrings; sudo tee /etc/apt/keyrings/{name}.asc >/dev/null <<'KEY'\n{key}\nKEY"));
    }
    machine.ssh(&format!(
        "echo 'deb [signed-by=/etc/apt/keyrings/kubernetes.asc] {} /
deb [signed-by=/etc/apt/keyrings/containerd.asc] {} {} stable' | sudo tee /etc/apt/sources.list.d/site.list >/dev/null",
        lab.value("apt_kubernetes"),
        lab.value("apt_containerd"),
        lab.value("suite"),
    ));
    let plan = machine.ssh(
        "sudo apt-get -qq update && sudo apt-get -qs install kubeadm kubelet kubectl containerd.io",
    );
    for package in [
        format!("kubeadm ({}-1.1", lab.value("kubernetes_version")),
        format!("containerd.io ({}-1", lab.value("containerd_version")),
        "kubernetes-cni (".to_owned(),
    ] {
        assert!(
            plan.contains(&format!("Inst {package}")),
            "{package} is missing in\n{plan}"
        );
    }

    let images = lab
        .get(&format!("http://{}/v2/_catalog", lab.value("registry")))
        .expect("the registry answers");
    for image in ["kube-apiserver", "pause", "etcd", "flannel", "web"] {
        assert!(
            images.contains(&format!("\"k8s/{image}\"")),
            "{image} is missing in {images}"
        );
    }
    assert!(
        machine
            .ssh("getent hosts registry.lab")
            .contains(lab.value("gateway"))
    );
    assert!(
        !machine
            .try_ssh("getent hosts elsewhere.example")
            .status
            .success()
    );
}
