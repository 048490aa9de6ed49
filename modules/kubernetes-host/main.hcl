# A machine made ready for kubeadm: kernel, container runtime, packages.

module "base" {
  source         = "../base-host"
  host           = var.host
  kernel_modules = ["overlay", "br_netfilter"]
  sysctls = {
    "net.ipv4.ip_forward"                 = "1"
    "net.bridge.bridge-nf-call-iptables"  = "1"
    "net.bridge.bridge-nf-call-ip6tables" = "1"
  }
}

resource "host_repository" "kubernetes" {
  host   = var.host
  name   = "kubernetes"
  uris   = [var.kubernetes_packages.uri]
  suites = [var.kubernetes_packages.suite]
  key    = var.kubernetes_packages.key
}

resource "host_repository" "containerd" {
  host       = var.host
  name       = "containerd"
  uris       = [var.containerd_packages.uri]
  suites     = [var.containerd_packages.suite]
  components = var.containerd_packages.components
  key        = var.containerd_packages.key
}

resource "host_package" "kubernetes" {
  host  = var.host
  names = ["containerd.io", "kubeadm", "kubelet", "kubectl"]
  versions = {
    "containerd.io" = var.containerd_packages.version
    kubeadm         = "${var.version}-*"
    kubelet         = "${var.version}-*"
    kubectl         = "${var.version}-*"
  }
  hold       = true
  recommends = false
  depends_on = [host_repository.kubernetes, host_repository.containerd]
}

resource "host_directory" "registries" {
  host       = var.host
  path       = "/etc/containerd/certs.d"
  depends_on = [host_package.kubernetes]
}

resource "host_directory" "registry" {
  for_each   = var.registry_mirrors
  host       = var.host
  path       = "/etc/containerd/certs.d/${each.key}"
  depends_on = [host_directory.registries]
}

resource "host_file" "registry" {
  for_each   = var.registry_mirrors
  host       = var.host
  path       = "/etc/containerd/certs.d/${each.key}/hosts.toml"
  content    = <<-EOT
    server = "${each.value}"

    [host."${each.value}"]
      capabilities = ["pull", "resolve"]
    EOT
  depends_on = [host_directory.registry]
}

resource "host_file" "containerd" {
  host     = var.host
  path     = "/etc/containerd/config.toml"
  template = file("${path.module}/config.toml.tera")
  vars = {
    pause_image = var.pause_image == null ? "" : var.pause_image
    settings    = var.containerd_settings
  }
  depends_on = [host_package.kubernetes]
}

resource "host_service" "containerd" {
  host       = var.host
  name       = "containerd"
  enabled    = true
  running    = true
  restart_on = host_file.containerd.sha256
  depends_on = [module.base, host_file.registry]
}
