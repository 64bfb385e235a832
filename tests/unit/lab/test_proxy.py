import pytest
from envoy.config.core.v3 import base_pb2

from lab.controlplane.proxy import BadNode, Locality, Proxy
from tests.unit.lab.recorded import ISTIOD, node
from tests.unit.lab.story import node as story_node

ID = "sidecar~10.0.0.1~vm.ns~ns.svc.cluster.local"


def made(node_id: str = ID, **metadata: object) -> base_pb2.Node:
    described = base_pb2.Node(id=node_id)
    described.metadata.update(metadata)
    return described


def test_the_node_of_the_recorded_vm_is_read() -> None:
    if not ISTIOD.is_dir():
        pytest.skip("recordings not present")
    proxy = Proxy.parse(node("vm"))
    assert proxy.ips == ("192.168.0.204",)
    assert (proxy.name, proxy.namespace, proxy.service_account) == ("vm-204.istio-demo", "istio-demo", "vm")
    assert (proxy.cluster_id, proxy.network, proxy.auto_register_group) == ("Kubernetes", "", "nginx")
    assert proxy.labels["class"] == "vm"
    assert (proxy.dns_capture, proxy.dns_auto_allocate, proxy.readiness_probe) == (True, True, False)
    assert (proxy.canonical_name, proxy.canonical_revision) == ("nginx", "latest")


def test_instance_ips_win_over_the_address_in_the_id() -> None:
    assert Proxy.parse(made(INSTANCE_IPS="192.168.0.204,fe80::1")).ips == ("192.168.0.204", "fe80::1")
    assert Proxy.parse(made()).ips == ("10.0.0.1",)


def test_without_metadata_the_namespace_is_the_first_label_of_the_dns_domain() -> None:
    assert Proxy.parse(made()).namespace == "ns"
    assert Proxy.parse(made(NAMESPACE="istio-demo")).namespace == "istio-demo"


def test_a_readiness_probe_in_the_proxy_config_is_noticed() -> None:
    assert Proxy.parse(made(PROXY_CONFIG={"readinessProbe": {"httpGet": {"port": 80}}})).readiness_probe
    assert not Proxy.parse(made(PROXY_CONFIG={"statusPort": 15020})).readiness_probe


def test_an_unlabelled_workload_is_called_unknown_and_latest() -> None:
    proxy = Proxy.parse(story_node(ip="192.168.0.30", name="client"))
    assert (proxy.canonical_name, proxy.canonical_revision) == ("unknown", "latest")


def test_a_locality_is_written_short_where_parts_are_empty() -> None:
    assert str(Locality(region="r", zone="z", sub_zone="s")) == "r/z/s"
    assert str(Locality(region="r", zone="z")) == "r/z"
    assert str(Locality()) == ""


@pytest.mark.parametrize(
    ("described", "complaint"),
    [
        (base_pb2.Node(), "missing node information"),
        (made("sidecar~10.0.0.1~vm.ns"), "has 3 parts"),
        (made("pilot~10.0.0.1~vm.ns~x"), "role 'pilot' is not one of sidecar"),
        (made("sidecar~nowhere~vm.ns~x"), "'nowhere' (INSTANCE_IPS, else the id's second part)"),
        (made(INSTANCE_IPS="10.0.0.1,x"), "'10.0.0.1,x' (INSTANCE_IPS"),
        (made(NAMESPACE=1), "node metadata NAMESPACE is 1.0, not a string"),
        (made(DNS_CAPTURE="maybe"), "node metadata DNS_CAPTURE is 'maybe'"),
        (made(LABELS="app=nginx"), "node metadata LABELS is 'app=nginx', not an object of strings"),
    ],
)
def test_a_node_that_does_not_say_who_it_is_is_refused(described: base_pb2.Node, complaint: str) -> None:
    with pytest.raises(BadNode) as caught:
        Proxy.parse(described)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(("value", "captured"), [("true", True), (True, True), ("false", False), ("", False)])
def test_a_switch_may_be_a_string_or_a_boolean(value: object, captured: bool) -> None:
    assert Proxy.parse(made(DNS_CAPTURE=value)).dns_capture is captured
