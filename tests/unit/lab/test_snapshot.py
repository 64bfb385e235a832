"""What a proxy of the documents' main story is told, as literal facts (they come from recording 01)."""

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.snapshot import Snapshot
from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import inbound_chains, names, said
from tests.unit.lab.test_workloads import HEALTHY, UNHEALTHY

MAIN = (story.SERVICE, story.REGISTERED)
OUTBOUND = "outbound|80||nginx.jd.com"


def addresses(snapshot: Snapshot, cluster: str) -> list[str]:
    groups = said(snapshot, type_urls.ENDPOINT, cluster).get("endpoints", [])
    return [
        each["endpoint"]["address"]["socket_address"]["address"]
        for group in groups
        for each in group["lb_endpoints"]
    ]


def host(snapshot: Snapshot, name: str) -> Json:
    hosts = said(snapshot, type_urls.ROUTE, "80")["virtual_hosts"]
    return next(each for each in hosts if each["name"] == name)


def test_the_client_is_told_the_names_an_operator_greps_for() -> None:
    snapshot = story.told(story.CLIENT, *MAIN)
    assert {url: list(each) for url, each in snapshot.resources.items()} == {
        type_urls.CLUSTER: [OUTBOUND, "BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"],
        type_urls.ENDPOINT: [OUTBOUND],
        type_urls.LISTENER: ["0.0.0.0_80", "virtualOutbound", "virtualInbound"],
        type_urls.ROUTE: ["80"],
        type_urls.NAME_TABLE: [""],
    }
    assert snapshot.warnings == ()


def test_the_vm_is_told_its_own_port_too() -> None:
    snapshot = story.told(story.VM, *MAIN)
    assert list(snapshot.of(type_urls.CLUSTER)) == [
        OUTBOUND,
        "BlackHoleCluster",
        "PassthroughCluster",
        "inbound|80||",
        "InboundPassthroughCluster",
    ]
    inbound = said(snapshot, type_urls.CLUSTER, "inbound|80||")
    assert inbound["type"] == "ORIGINAL_DST"
    assert inbound["upstream_bind_config"]["source_address"]["address"] == "127.0.0.6"


def test_the_name_resolves_to_the_first_address_of_the_range() -> None:
    assert names(story.told(story.CLIENT, *MAIN)) == {"nginx.jd.com": ["240.240.0.1"]}


def test_the_virtual_host_answers_to_name_dotted_name_and_address() -> None:
    found = host(story.told(story.CLIENT, *MAIN), "nginx.jd.com:80")
    assert found["domains"] == ["nginx.jd.com", "nginx.jd.com.", "240.240.0.1"]
    assert found["routes"][0]["route"]["cluster"] == OUTBOUND


def test_a_proxy_that_does_not_capture_dns_is_told_no_allocated_address() -> None:
    proxy = Proxy.parse(story.node(ip="192.168.0.30", name="client", DNS_CAPTURE="false"))
    snapshot = story.told(proxy, *MAIN)
    assert names(snapshot) == {}
    assert host(snapshot, "nginx.jd.com:80")["domains"] == ["nginx.jd.com", "nginx.jd.com."]


def test_the_endpoint_is_the_vm_and_says_that_it_speaks_mutual_tls() -> None:
    assignment = said(story.told(story.CLIENT, *MAIN), type_urls.ENDPOINT, OUTBOUND)
    (endpoint,) = assignment["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "192.168.0.204", "port_value": 80}
    assert endpoint["metadata"]["filter_metadata"] == {
        "envoy.transport_socket_match": {"tlsMode": "istio"},
        "istio": {"workload": "nginx-192.168.0.204;istio-demo;nginx;;Kubernetes"},
    }


def test_the_client_demands_the_name_of_the_vms_service_account() -> None:
    cluster = said(story.told(story.CLIENT, *MAIN), type_urls.CLUSTER, OUTBOUND)
    mutual, plain = cluster["transport_socket_matches"]
    assert (mutual["name"], mutual["match"]) == ("tlsMode-istio", {"tlsMode": "istio"})
    assert (plain["name"], plain["match"]) == ("tlsMode-disabled", {})
    context = mutual["transport_socket"]["typed_config"]
    assert context["sni"] == "outbound_.80_._.nginx.jd.com"
    common = context["common_tls_context"]
    assert common["alpn_protocols"] == ["istio"]
    validation = common["combined_validation_context"]
    assert validation["default_validation_context"]["match_subject_alt_names"] == [
        {"exact": "spiffe://cluster.local/ns/istio-demo/sa/vm"}
    ]
    assert validation["validation_context_sds_secret_config"]["name"] == "ROOTCA"
    assert [each["name"] for each in common["tls_certificate_sds_secret_configs"]] == ["default"]


def test_what_the_client_offers_is_what_the_vms_port_80_takes() -> None:
    mutual = next(
        each
        for each in inbound_chains(story.told(story.VM, *MAIN))
        if each["filter_chain_match"].get("destination_port") == 80
        and each["filter_chain_match"]["transport_protocol"] == "tls"
    )
    assert mutual["name"] == "0.0.0.0_80"
    assert "istio" in mutual["filter_chain_match"]["application_protocols"]
    assert mutual["transport_socket"]["typed_config"]["require_client_certificate"] is True


def test_the_application_hears_who_called() -> None:
    for chain in inbound_chains(story.told(story.VM, *MAIN)):
        manager = chain["filters"][0]["typed_config"]
        if "http_filters" in manager:
            assert manager["forward_client_cert_details"] == "APPEND_FORWARD"
            assert manager["set_current_client_cert_details"] == {"subject": True, "dns": True, "uri": True}


def test_nothing_that_only_istios_envoy_has_is_mentioned() -> None:
    snapshot = story.told(story.VM, *MAIN)
    everything = b"".join(each.value for named in snapshot.resources.values() for each in named.values())
    for name in (b"istio.metadata_exchange", b"istio.alpn", b"istio.stats", b"istio-peer-exchange"):
        assert name not in everything


def test_an_unhealthy_vm_is_no_endpoint_yet_keeps_its_inbound_port_and_its_name_with_clients() -> None:
    ill = (story.SERVICE, UNHEALTHY)
    client = story.told(story.CLIENT, *ill)
    assert addresses(client, OUTBOUND) == []
    assert "inbound|80||" in story.told(story.VM, *ill).of(type_urls.CLUSTER)
    well = story.told(story.CLIENT, story.SERVICE, HEALTHY)
    assert addresses(well, OUTBOUND) == ["192.168.0.204"]
    changed = {url for url in client.versions if client.versions[url] != well.versions[url]}
    assert changed == {type_urls.ENDPOINT}


def test_before_anybody_registered_the_service_exists_without_endpoints() -> None:
    snapshot = story.told(story.VM, story.SERVICE)
    assert addresses(snapshot, OUTBOUND) == []
    assert "inbound|80||" not in snapshot.of(type_urls.CLUSTER)
    assert names(snapshot) == {"nginx.jd.com": ["240.240.0.1"]}


def test_an_empty_mesh_still_lets_everything_through() -> None:
    snapshot = story.told(story.CLIENT)
    assert list(snapshot.of(type_urls.LISTENER)) == ["virtualOutbound", "virtualInbound"]
    assert list(snapshot.of(type_urls.NAME_TABLE)) == [""]


def test_versions_are_the_same_for_the_same_world_and_differ_when_it_differs() -> None:
    first, again = story.told(story.CLIENT, *MAIN), story.told(story.CLIENT, *MAIN)
    assert first.versions == again.versions
    other = story.told(story.CLIENT, *MAIN, story.POD)
    assert other.versions[type_urls.ENDPOINT] != first.versions[type_urls.ENDPOINT]
    assert other.versions[type_urls.NAME_TABLE] == first.versions[type_urls.NAME_TABLE]


def test_a_pod_without_a_sidecar_is_an_endpoint_in_plain_text() -> None:
    assignment = said(story.told(story.CLIENT, *MAIN, story.POD), type_urls.ENDPOINT, OUTBOUND)
    _, pod = assignment["endpoints"][0]["lb_endpoints"]
    assert pod["endpoint"]["address"]["socket_address"]["address"] == "192.168.0.20"
    assert "envoy.transport_socket_match" not in pod["metadata"]["filter_metadata"]
    assert pod["health_status"] == "HEALTHY"


def test_a_destination_of_weight_zero_is_not_mentioned() -> None:
    snapshot = story.told(story.CLIENT, *MAIN, story.POD, story.routing(vm=100, docker=0))
    action = host(snapshot, "nginx.jd.com:80")["routes"][0]["route"]
    assert action["weighted_clusters"]["clusters"] == [{"name": "outbound|80|vm|nginx.jd.com", "weight": 100}]


def test_weights_are_handed_on_and_subsets_have_their_own_endpoints() -> None:
    snapshot = story.told(story.CLIENT, *MAIN, story.POD, story.routing(vm=40, docker=60))
    route = host(snapshot, "nginx.jd.com:80")["routes"][0]
    assert route["name"] == "http-nginx-route"
    assert [(each["name"], each["weight"]) for each in route["route"]["weighted_clusters"]["clusters"]] == [
        ("outbound|80|vm|nginx.jd.com", 40),
        ("outbound|80|docker|nginx.jd.com", 60),
    ]
    assert addresses(snapshot, "outbound|80|vm|nginx.jd.com") == ["192.168.0.204"]
    assert addresses(snapshot, "outbound|80|docker|nginx.jd.com") == ["192.168.0.20"]


def test_a_virtual_service_for_gateways_only_does_not_touch_sidecars() -> None:
    text = story.routing(vm=0, docker=100).replace(
        "hosts: [nginx.jd.com]", "hosts: [nginx.jd.com]\n  gateways: [out]"
    )
    action = host(story.told(story.CLIENT, *MAIN, text), "nginx.jd.com:80")["routes"][0]["route"]
    assert action["cluster"] == OUTBOUND


def test_a_short_host_of_a_virtual_service_misses_the_service_entry_of_the_same_spelling() -> None:
    service = story.SERVICE.replace("nginx.jd.com", "xxx")
    routing = story.routing(vm=100, docker=0).replace("nginx.jd.com", "xxx")
    snapshot = story.told(story.CLIENT, service, story.REGISTERED, routing)
    names = [each["name"] for each in said(snapshot, type_urls.ROUTE, "80")["virtual_hosts"]]
    assert names == ["xxx.istio-demo.svc.cluster.local:80", "xxx:80", "allow_any"]
    assert host(snapshot, "xxx:80")["routes"][0]["route"]["cluster"] == "outbound|80||xxx"


def test_a_service_another_namespace_keeps_to_itself_is_not_told() -> None:
    own = story.SERVICE.replace("  hosts:", "  exportTo: ['.']\n  hosts:", 1)
    stranger = Proxy.parse(story.node(ip="10.0.0.9", name="x", NAMESPACE="other"))
    assert names(story.told(stranger, own)) == {}
    assert names(story.told(story.CLIENT, own)) == {"nginx.jd.com": ["240.240.0.1"]}


def test_a_host_that_two_unlike_documents_claim_belongs_to_the_first_and_the_other_is_named() -> None:
    double = story.SERVICE.replace("  name: nginx\n", "  name: zweite\n", 1).replace("app: nginx", "app: x")
    snapshot = story.told(story.CLIENT, *MAIN, double)
    assert list(snapshot.of(type_urls.ENDPOINT)) == [OUTBOUND]
    assert snapshot.warnings == (
        "ServiceEntry istio-demo/zweite: nginx.jd.com is already served by ServiceEntry "
        "istio-demo/nginx: of this one only endpoints count",
    )


def test_no_domain_stands_twice_in_a_route_table() -> None:
    one = story.SERVICE.replace("  location", "  addresses: [10.1.1.1]\n  location")
    two = one.replace("nginx.jd.com", "other.jd.com").replace("  name: nginx\n", "  name: other\n", 1)
    hosts = said(story.told(story.CLIENT, one, two), type_urls.ROUTE, "80")["virtual_hosts"]
    domains = [domain for each in hosts for domain in each["domains"]]
    assert len(domains) == len(set(domains))


def test_an_http2_service_is_spoken_to_in_http2() -> None:
    grpc = story.SERVICE.replace("protocol: HTTP", "protocol: GRPC")
    cluster = said(story.told(story.CLIENT, grpc), type_urls.CLUSTER, OUTBOUND)
    options = cluster["typed_extension_protocol_options"][
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    ]
    assert "http2_protocol_options" in options["explicit_http_config"]


def test_the_trust_domain_is_the_meshs() -> None:
    snapshot = story.told(story.CLIENT, *MAIN, mesh=Mesh(trust_domain="mesh.test"))
    assert b"spiffe://mesh.test/ns/istio-demo/sa/vm" in snapshot.of(type_urls.CLUSTER)[OUTBOUND].value
    assert b"spiffe://mesh.test/" in snapshot.of(type_urls.LISTENER)["virtualInbound"].value
