"""The VM of the documents as files: what ``entry configure`` writes for it, with the operator's edit."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, Unpack

from vmagent.config.addresses import Host, HostAddress
from vmagent.config.model import Config
from vmagent.config.resolve import Paths, Resolution, Sources, resolve

LABELS = (
    '{"app":"nginx","class":"vm","service.istio.io/canonical-name":"nginx",'
    '"service.istio.io/canonical-revision":"latest"}'
)

CLUSTER_ENV = f"""\
CANONICAL_REVISION='latest'
CANONICAL_SERVICE='nginx'
ISTIO_INBOUND_PORTS='*'
ISTIO_LOCAL_EXCLUDE_PORTS='22,15090,15021,15020'
ISTIO_METAJSON_LABELS='{LABELS}'
ISTIO_META_AUTO_REGISTER_GROUP='nginx'
ISTIO_META_CLUSTER_ID='Kubernetes'
ISTIO_META_DNS_CAPTURE='true'
ISTIO_META_MESH_ID=''
ISTIO_META_NETWORK=''
ISTIO_META_WORKLOAD_NAME='nginx'
ISTIO_NAMESPACE='istio-demo'
ISTIO_SERVICE='nginx.istio-demo'
ISTIO_SERVICE_CIDR='*'
POD_NAMESPACE='istio-demo'
SERVICE_ACCOUNT='vm'
TRUST_DOMAIN='cluster.local'
"""

MESH = f"""\
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  proxyMetadata:
    CANONICAL_REVISION: latest
    CANONICAL_SERVICE: nginx
    ISTIO_METAJSON_LABELS: '{LABELS}'
    ISTIO_META_AUTO_REGISTER_GROUP: nginx
    ISTIO_META_CLUSTER_ID: Kubernetes
    ISTIO_META_DNS_CAPTURE: "true"
    ISTIO_META_MESH_ID: ""
    ISTIO_META_NETWORK: ""
    ISTIO_META_WORKLOAD_NAME: nginx
    POD_NAMESPACE: istio-demo
    SERVICE_ACCOUNT: vm
    TRUST_DOMAIN: cluster.local
  readinessProbe:
    httpGet:
      port: 80
  tracing:
    zipkin:
      address: zipkin.istio-system:9411
"""

CLUSTER_PATH = "/var/lib/istio/envoy/cluster.env"
SIDECAR_PATH = "/var/lib/istio/envoy/sidecar.env"
MESH_PATH = "/etc/istio/config/mesh"

USUAL_ROOT = Path("/etc/certs/root-cert.pem")

HOST = Host(
    name="vm204.example.com",
    addresses=(HostAddress(interface="eth0", ip="192.168.0.204"),),
    routed=("192.168.0.204",),
)


class Given(TypedDict, total=False):
    """None: no such file. ``more``: lines behind cluster.env. ``absent``: roots that are not there.
    ``there``: files that a VM does not usually have. ``role``: what the command line says.
    """

    cluster: str | None
    more: str
    sidecar: str
    own: str
    mesh: str | None
    environ: Mapping[str, str]
    host: Host
    absent: tuple[Path, ...]
    there: tuple[Path, ...]
    labels: str
    annotations: str
    role: str


def resolved(**given: Unpack[Given]) -> Resolution:
    cluster, mesh = given.get("cluster", CLUSTER_ENV), given.get("mesh", MESH)
    sidecar, own = given.get("sidecar"), given.get("own")
    labels, annotations = given.get("labels"), given.get("annotations")
    return resolve(
        Paths(),
        Sources(
            cluster_env=None if cluster is None else (cluster + given.get("more", "")).encode(),
            sidecar_env=None if sidecar is None else sidecar.encode(),
            agent_env=None if own is None else own.encode(),
            mesh=None if mesh is None else mesh.encode(),
            pod_labels=None if labels is None else labels.encode(),
            pod_annotations=None if annotations is None else annotations.encode(),
            role=given.get("role", ""),
        ),
        given.get("environ", {}),
        given.get("host", HOST),
        present=lambda path: path in {USUAL_ROOT, *given.get("there", ())} - {*given.get("absent", ())},
    )


def config(**given: Unpack[Given]) -> Config:
    """``resolved`` where nothing is wrong."""
    found = resolved(**given)
    assert not found.problems, "\n".join(str(problem) for problem in found.problems)
    assert not found.missing
    return found.config


def complaints(**given: Unpack[Given]) -> list[str]:
    """Every problem as the line that an operator reads."""
    return [str(problem) for problem in resolved(**given).problems]
