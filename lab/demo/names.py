"""The names and numbers of the documents' story."""

from typing import Final

GRACE: Final = 5
"""Seconds that the control plane keeps the entry of a VM that left (Istio's default is 10)."""

ENTRY: Final = "nginx-192.168.0.204"
GET_ENTRY: Final = f"get workloadentry {ENTRY} -n istio-demo -o yaml"

VM_NAME: Final = "spiffe://cluster.local/ns/istio-demo/sa/vm"
CLIENT_NAME: Final = "spiffe://cluster.local/ns/istio-demo/sa/default"

VM_ANSWER: Final = "Welcome to nginx on vm204!"
DOCKER_ANSWER: Final = "Welcome to nginx on docker!"
OUTSIDE_ANSWER: Final = "Welcome to nginx on outside!"

CURL: Final = "curl -sS --max-time 5"
STATUS_AND_SECONDS: Final = "curl -s -o /dev/null --max-time 5 -w '%{http_code} %{time_total}\\n'"

CONFIGURE: Final = "vmagent entry configure --clusterID Kubernetes --ingressIP 192.168.0.59"

INSTALL: Final = (
    "mkdir -p /etc/certs /var/run/secrets/tokens",
    "cp {0}/root-cert.pem /etc/certs/root-cert.pem",
    "cp {0}/istio-token /var/run/secrets/tokens/istio-token",
    "cp {0}/cluster.env /var/lib/istio/envoy/cluster.env",
    "cp {0}/mesh.yaml /etc/istio/config/mesh",
    "cat {0}/hosts >> /etc/hosts",
    "chown -R istio-proxy /var/lib/istio /etc/certs /etc/istio/proxy /etc/istio/config /var/run/secrets",
)
"""As in the document, step 4."""
