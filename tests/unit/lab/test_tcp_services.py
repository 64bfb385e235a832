"""What a proxy is told of services whose protocol nobody looks into, as literal facts."""

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from tests.unit.lab import story
from tests.unit.lab.served import inbound_chains, said

TCP = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: NAME, namespace: istio-demo}
spec:
  hosts: [NAME.jd.com]
  location: MESH_INTERNAL
  ports: [{number: 6379, name: tcp, protocol: TCP}]
  resolution: STATIC
  workloadSelector: {labels: {app: nginx}}
"""


def test_a_tcp_service_gets_a_listener_on_its_address_and_a_plain_chain_at_its_workload() -> None:
    redis = TCP.replace("NAME", "redis")
    snapshot = story.told(story.CLIENT, redis, story.REGISTERED)
    assert "240.240.0.1_6379" in snapshot.of(type_urls.LISTENER)
    assert list(snapshot.of(type_urls.ROUTE)) == []
    own = [
        each
        for each in inbound_chains(story.told(story.VM, redis, story.REGISTERED))
        if each["name"] == "0.0.0.0_6379"
    ]
    assert [each["filters"][0]["typed_config"]["cluster"] for each in own] == ["inbound|6379||"] * 3


def test_two_tcp_services_on_one_address_share_it_with_the_first_in_front() -> None:
    first = TCP.replace("NAME", "one").replace("  location", "  addresses: [10.1.1.1]\n  location")
    second = TCP.replace("NAME", "two").replace("  location", "  addresses: [10.1.1.1]\n  location")
    snapshot = story.told(story.CLIENT, first, second)
    listener = said(snapshot, type_urls.LISTENER, "10.1.1.1_6379")
    assert (
        listener["filter_chains"][0]["filters"][0]["typed_config"]["cluster"] == "outbound|6379||one.jd.com"
    )


def test_a_tcp_service_without_an_address_takes_its_port_on_every_address_and_the_second_is_turned_away() -> (
    None
):
    proxy = Proxy.parse(story.node(ip="192.168.0.30", name="client", DNS_CAPTURE="false"))
    snapshot = story.told(proxy, TCP.replace("NAME", "redis"), TCP.replace("NAME", "other"))
    assert [each for each in snapshot.of(type_urls.LISTENER) if "6379" in each] == ["0.0.0.0_6379"]
    listener = said(snapshot, type_urls.LISTENER, "0.0.0.0_6379")
    (chain,) = listener["filter_chains"]
    # Equally old: the name decides.
    assert chain["filters"][0]["typed_config"]["cluster"] == "outbound|6379||other.jd.com"
    assert "default_filter_chain" not in listener
