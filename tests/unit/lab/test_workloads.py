import pytest

from lab.controlplane.mesh import Mesh
from lab.controlplane.services import services
from lab.controlplane.workloads import Instance, Workloads
from tests.unit.lab import story

CHECKED = story.REGISTERED.replace(
    "  annotations:\n", '  annotations:\n    proxy.istio.io/health-checks-enabled: "true"\n'
)
HEALTHY = CHECKED + "status: {conditions: [{type: Healthy, status: 'True'}]}\n"
UNHEALTHY = CHECKED + "status: {conditions: [{type: Healthy, status: 'False'}]}\n"


def instances(*documents: str, mesh: Mesh | None = None) -> tuple[Instance, ...]:
    world, mesh = story.world(*documents), mesh or Mesh()
    ((service,), _) = services(world, mesh)
    return Workloads(world, mesh).of_host(service, [service])


def test_a_selector_finds_entries_and_pods_of_its_own_namespace() -> None:
    elsewhere = story.POD.replace("istio-demo", "other").replace("0.20\n", "0.21\n")
    stranger = story.REGISTERED.replace("app: nginx", "app: other").replace("0.204", "0.205")
    found = instances(story.SERVICE, story.REGISTERED, story.POD, elsewhere, stranger)
    assert [(each.address, each.name) for each in found] == [
        ("192.168.0.204", "nginx-192.168.0.204"),
        ("192.168.0.20", "nginx-docker"),
    ]


@pytest.mark.parametrize(
    ("document", "switched_on", "serving"),
    [
        (story.REGISTERED, True, True),
        (CHECKED, True, False),
        (UNHEALTHY, True, False),
        (HEALTHY, True, True),
        (UNHEALTHY, False, True),
    ],
    ids=["not checked", "never reported", "unhealthy", "healthy", "unhealthy, checks switched off"],
)
def test_a_health_checked_entry_serves_only_while_healthy(
    document: str, switched_on: bool, serving: bool
) -> None:
    (instance,) = instances(story.SERVICE, document, mesh=Mesh(health_checks=switched_on))
    assert instance.serving is serving


@pytest.mark.parametrize(
    ("document", "mode"),
    [
        (story.REGISTERED, "istio"),
        (story.REGISTERED.replace("  serviceAccount: vm\n", ""), "disabled"),
        (story.REGISTERED.replace("    class: vm", "    security.istio.io/tlsMode: disabled"), "disabled"),
        (story.POD, "disabled"),
        (story.POD.replace("class: docker", "security.istio.io/tlsMode: istio"), "istio"),
    ],
    ids=["service account", "none", "label", "bare pod", "pod as the injector labels it"],
)
def test_how_a_workload_is_spoken_to(document: str, mode: str) -> None:
    (instance,) = instances(story.SERVICE, document)
    assert instance.tls_mode == mode


def test_a_pod_that_is_not_ready_does_not_serve_and_one_without_address_is_nobody() -> None:
    (instance,) = instances(story.SERVICE, story.POD.replace('status: "True"', 'status: "False"'))
    assert not instance.serving
    assert instances(story.SERVICE, story.POD.replace("  podIP: 192.168.0.20\n", "")) == ()


def test_an_entry_known_only_by_name_does_not_serve_a_static_service() -> None:
    named = story.REGISTERED.replace("address: 192.168.0.204", "address: vm204.example")
    (static,) = instances(story.SERVICE, named)
    assert not static.serving
    (resolved,) = instances(story.SERVICE.replace("STATIC", "DNS"), named)
    assert resolved.serving


def test_endpoints_may_listen_on_ports_of_their_own() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: foo}
spec:
  hosts: [foo.bar.com]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8000}]
  resolution: DNS
  endpoints:
  - {address: us.foo.bar.com, ports: {http: 8080}}
  - {address: uk.foo.bar.com}
"""
    world = story.world(text)
    ((service,), _) = services(world, Mesh())
    behind = Workloads(world, Mesh()).behind(service)
    assert [each.port(service.ports[0]) for each in behind] == [8080, 8000]


def test_a_resolved_service_without_endpoints_is_its_own_name() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out}
spec: {hosts: [www.baidu.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
"""
    (instance,) = instances(text)
    assert (instance.address, instance.serving) == ("www.baidu.com", True)
