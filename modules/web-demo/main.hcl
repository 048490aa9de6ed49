# A small web service, reached on a port of every node.

resource "k8s_manifest" "deployment" {
  manifest = {
    apiVersion = "apps/v1"
    kind       = "Deployment"
    metadata   = { name = "web", namespace = "default" }
    spec = {
      replicas = var.replicas
      selector = { matchLabels = { app = "web" } }
      template = {
        metadata = { labels = { app = "web" } }
        spec = {
          containers = [{
            name           = "web"
            image          = var.image
            command        = var.command
            ports          = [{ containerPort = var.container_port }]
            readinessProbe = { httpGet = { path = "/", port = var.container_port }, periodSeconds = 1 }
          }]
        }
      }
    }
  }
}

resource "k8s_manifest" "service" {
  manifest = {
    apiVersion = "v1"
    kind       = "Service"
    metadata   = { name = "web", namespace = "default" }
    spec = {
      type     = "NodePort"
      selector = { app = "web" }
      ports    = [{ port = 80, targetPort = var.container_port, nodePort = var.node_port }]
    }
  }
}

check "answers" {
  data "core_http" "web" {
    url            = "http://${var.address}:${var.node_port}/"
    within_seconds = 60
  }

  assert {
    condition     = data.core_http.web.status_code == 200
    error_message = "The web service does not answer on port ${var.node_port}."
  }
}
