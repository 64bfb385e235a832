"""What istiod is told about us, compared with what a real pilot-agent told it."""

import json

import pytest

from tests.conftest import RECORDINGS
from vmagent.config.model import Json, Locality

from . import vm

RECORDED_ENVIRONMENT = vm.CLUSTER_ENV.replace("vm204", "vm-204").replace("ISTIO_SERVICE=", "UNSET=")
"""The recording had no start script, so nobody turned ISTIO_SERVICE into serviceCluster."""

RECORDED_MESH = vm.MESH.partition("  readinessProbe:")[0].replace(
    "istiod.istio-system.svc:15012", "192.168.0.59:15012"
)


def recorded() -> dict[str, Json]:
    path = RECORDINGS / "pilot-agent-1.29.6" / "envoy-rev.json"
    if not path.exists():
        pytest.skip(f"{path} not present")
    node: dict[str, Json] = json.loads(path.read_text())["node"]
    return node


def test_the_node_is_the_one_that_pilot_agent_sent() -> None:
    cluster = RECORDED_ENVIRONMENT + "ISTIO_META_DNS_AUTO_ALLOCATE='true'\nPOD_NAME='vm-204'\n"
    node, wanted = vm.config(cluster=cluster, mesh=RECORDED_MESH).node, recorded()
    assert (node.id, node.cluster) == (wanted["id"], wanted["cluster"])
    metadata = wanted["metadata"]
    assert isinstance(metadata, dict)
    # That build of pilot-agent did not know its version; we say whose behaviour we have.
    assert metadata.pop("ISTIO_VERSION") == "unknown"
    ours = dict(node.metadata)
    assert ours.pop("ISTIO_VERSION") == "1.29.6"
    assert ours == metadata
    assert list(ours) == sorted(ours)


def test_a_vm_of_the_documents_is_named_by_group_and_namespace() -> None:
    node = vm.config().node
    assert node.id == "sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local"
    assert node.cluster == "nginx.istio-demo"
    assert node.metadata["AUTO_REGISTER_GROUP"] == "nginx"
    assert node.metadata["PILOT_SAN"] == ["istiod.istio-system.svc"]
    assert node.locality == Locality()


def test_labels_of_the_document_with_its_canonical_version_are_taken_as_they_are() -> None:
    old = '{"app":"nginx","class":"vm","service.istio.io/canonical-version":"latest"}'
    config = vm.config(cluster=vm.CLUSTER_ENV.replace(vm.LABELS, old))
    assert config.workload.labels["service.istio.io/canonical-version"] == "latest"
    assert config.node.metadata["LABELS"] == json.loads(old)
    assert config.node.metadata["class"] == "vm"


@pytest.mark.parametrize(
    ("value", "place", "slashes"),
    [
        ("r1/z1/s1", Locality(region="r1", zone="z1", subzone="s1"), "r1/z1/s1"),
        ("r1.z1", Locality(region="r1", zone="z1"), "r1/z1"),
        ("r1/z1/s1/more", Locality(region="r1", zone="z1", subzone="s1"), "r1/z1/s1"),
    ],
)
def test_a_label_says_where_the_machine_stands(value: str, place: Locality, slashes: str) -> None:
    labels = json.dumps({"app": "nginx", "topology.istio.io/locality": value})
    node = vm.config(cluster=vm.CLUSTER_ENV.replace(vm.LABELS, labels)).node
    assert node.locality == place
    told = node.metadata["LABELS"]
    assert isinstance(told, dict)
    assert told["istio-locality"] == slashes


@pytest.mark.parametrize(
    ("mesh", "cluster"),
    [
        ("tracingServiceName: CANONICAL_NAME_ONLY", "nginx"),
        ("tracingServiceName: CANONICAL_NAME_AND_NAMESPACE", "nginx.istio-demo"),
        ("tracingServiceName: APP_LABEL_AND_NAMESPACE", "nginx.istio-demo"),
        ("serviceCluster: mine", "mine"),
        ("serviceCluster: istio-proxy", "nginx.istio-demo"),
    ],
)
def test_envoy_calls_itself_as_the_mesh_file_says(mesh: str, cluster: str) -> None:
    assert vm.config(mesh=f"defaultConfig:\n  {mesh}\n").node.cluster == cluster


def test_a_workload_without_labels_is_still_named() -> None:
    bare = "SERVICE_ACCOUNT=vm\nISTIO_NAMESPACE=demo\n"
    assert vm.config(cluster=bare, mesh=None).node.cluster == "istio-proxy.demo"
