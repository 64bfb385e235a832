"""The VM of the documents, as this room is told about it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from vmagent.envoy.config import EnvoyConfig, Json, Node

LABELS: dict[str, Json] = {
    "app": "nginx",
    "class": "vm",
    "service.istio.io/canonical-name": "nginx",
    "service.istio.io/canonical-revision": "latest",
}

VM = EnvoyConfig(
    node=Node(
        id="sidecar~192.168.0.204~vm-204.istio-demo~istio-demo.svc.cluster.local",
        cluster="nginx.istio-demo",
        metadata={"LABELS": LABELS, "NAMESPACE": "istio-demo"},
    ),
    ips=("192.168.0.204",),
    environment={"PATH": "/usr/bin:/bin"},
)

ZIPKIN: dict[str, Json] = {"tracing": {"zipkin": {"address": "zipkin.istio-system:9411"}}}


def vm(**changes: Any) -> EnvoyConfig:
    return replace(VM, **changes)


def annotated(**notes: str) -> EnvoyConfig:
    """With annotations, written without their common prefix."""
    annotations: dict[str, Json] = {f"sidecar.istio.io/{key}": value for key, value in notes.items()}
    return vm(node=replace(VM.node, metadata={"ANNOTATIONS": annotations}))


def below(root: Path, **changes: Any) -> EnvoyConfig:
    """Every path under ``root``."""
    return vm(
        config_dir=root / "proxy",
        run_dir=root,
        data_dir=root,
        xds_socket=root / "proxy" / "XDS",
        sds_socket=root / "sds",
        **changes,
    )
