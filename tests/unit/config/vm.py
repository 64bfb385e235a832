"""The VM of the documents as files: what ``entry configure`` writes for it, with the operator's edit."""

from collections.abc import Mapping
from pathlib import Path

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

HOST = Host(
    name="vm204.example.com",
    addresses=(HostAddress(interface="eth0", ip="192.168.0.204"),),
    routed=("192.168.0.204",),
)


def resolved(
    *,
    cluster: str | None = CLUSTER_ENV,
    more: str = "",
    sidecar: str | None = None,
    own: str | None = None,
    mesh: str | None = MESH,
    environ: Mapping[str, str] | None = None,
    host: Host = HOST,
    absent: tuple[Path, ...] = (),
) -> Resolution:
    """``more``: lines behind those of cluster.env. ``absent``: files that a search for roots does not find."""

    def encoded(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    return resolve(
        Paths(),
        Sources(
            cluster_env=encoded(None if cluster is None else cluster + more),
            sidecar_env=encoded(sidecar),
            agent_env=encoded(own),
            mesh=encoded(mesh),
        ),
        environ or {},
        host,
        present=lambda path: path not in absent,
    )


def config(**given: str | None | Mapping[str, str] | Host) -> Config:
    """``resolved`` where nothing is wrong."""
    found = resolved(**given)  # type: ignore[arg-type]  # each caller passes what resolved() takes
    assert not found.problems, "\n".join(str(problem) for problem in found.problems)
    assert not found.missing
    return found.config


def complaints(**given: str | None | Mapping[str, str] | Host) -> list[str]:
    """Every problem as the line that an operator reads."""
    return [str(problem) for problem in resolved(**given).problems]  # type: ignore[arg-type]  # as above
