"""The nodes that a real istiod was told of, compared with what we would send."""

import dataclasses
import json
from typing import Any

import pytest

from tests.conftest import RECORDINGS
from vmagent.config.model import Config, Json

from . import vm


def recorded(name: str) -> dict[str, Any]:
    path = RECORDINGS / "istiod-1.29.6" / f"node-{name}.json"
    if not path.exists():
        pytest.skip(f"{path} not present")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def node_of(
    name: str, namespace: str, address: str, account: str, labels: dict[str, str], role: str
) -> Config:
    env = {
        "POD_NAME": name,
        "ISTIO_SVC_IP": address,
        "ISTIO_NAMESPACE": namespace,
        "POD_NAMESPACE": namespace,
        "SERVICE_ACCOUNT": account,
        "ISTIO_METAJSON_LABELS": json.dumps(labels),
        "ISTIO_META_CLUSTER_ID": "Kubernetes",
        "ISTIO_META_MESH_ID": "",
        "ISTIO_META_NETWORK": "",
        "ISTIO_META_DNS_CAPTURE": "true",
        "ISTIO_META_DNS_AUTO_ALLOCATE": "true",
    }
    more = {
        "vm-204": {"ISTIO_META_AUTO_REGISTER_GROUP": "nginx", "ISTIO_META_WORKLOAD_NAME": "nginx"},
        "client": {"ISTIO_META_WORKLOAD_NAME": "client"},
        "egressgateway": {"ISTIO_META_WORKLOAD_NAME": "istio-egressgateway"},
    }[name]
    host = dataclasses.replace(vm.HOST, addresses=(), routed=())
    cluster = "".join(f"{key}='{value}'\n" for key, value in (env | more).items())
    mesh = "defaultConfig:\n  discoveryAddress: 192.168.0.59:15012\n"
    return vm.config(cluster=cluster, mesh=mesh, host=host, role=role)


VM = json.loads(vm.LABELS)

NODES = {
    "vm": ("vm-204", "istio-demo", "192.168.0.204", "vm", VM, "sidecar"),
    "client": ("client", "istio-demo", "192.168.0.30", "vm", {"app": "client"}, "sidecar"),
    "egress": (
        "egressgateway",
        "istio-system",
        "192.168.0.80",
        "istio-egressgateway",
        {"istio": "egressgateway"},
        "router",
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_a_recorded_node_is_what_we_would_send(name: str) -> None:
    wanted = recorded(name)
    node = node_of(*NODES[name]).node
    assert (node.id, node.cluster) == (wanted["id"], wanted["cluster"])
    metadata: dict[str, Json] = wanted["metadata"]
    config = metadata.pop("PROXY_CONFIG")  # the recorder sent four fields of it
    ours = dict(node.metadata)
    sent = ours.pop("PROXY_CONFIG")
    assert isinstance(config, dict)
    assert isinstance(sent, dict)
    assert {key: sent[key] for key in config} == config
    # The recorder made all three of the VM's node, and left the VM's labels at the top of the other two.
    labels = {**VM, **NODES[name][4]}
    assert {key: value for key, value in ours.items() if key not in labels} == {
        key: value for key, value in metadata.items() if key not in labels
    }
