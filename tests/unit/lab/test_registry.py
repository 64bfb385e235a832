import pytest

from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import AlreadyThere, Instance, Registry, World, key_of
from lab.controlplane.resources import parse
from tests.unit.lab import story

CHECKED = story.REGISTERED.replace(
    "  annotations:\n", '  annotations:\n    proxy.istio.io/health-checks-enabled: "true"\n'
)
HEALTHY = CHECKED + "status: {conditions: [{type: Healthy, status: 'True'}]}\n"
UNHEALTHY = CHECKED + "status: {conditions: [{type: Healthy, status: 'False'}]}\n"


def instances(*documents: str, mesh: Mesh | None = None) -> tuple[Instance, ...]:
    registry = Registry(story.world(*documents), mesh or Mesh())
    (service,) = registry.services()
    return registry.instances(service)


def entry(text: str) -> WorkloadEntry:
    (resource,) = parse(text, file="x.yaml").resources
    assert isinstance(resource, WorkloadEntry)
    return resource


def test_a_change_makes_a_new_world_and_leaves_the_old_one_alone() -> None:
    before = story.world(story.SERVICE)
    after = before.add(entry(story.REGISTERED))
    assert len(before.resources) == 1
    assert after.get(WorkloadEntry, "istio-demo", "nginx-192.168.0.204") == entry(story.REGISTERED)
    assert after.remove(key_of(entry(story.REGISTERED))) == before


def test_a_resource_that_changes_keeps_its_place() -> None:
    world = story.world(story.REGISTERED, story.REGISTERED.replace("0.204", "0.205"))
    world = world.replace(entry(HEALTHY))
    assert [each.spec.address for each in world.all(WorkloadEntry)] == ["192.168.0.204", "192.168.0.205"]
    assert world.all(WorkloadEntry)[0].healthy


def test_what_is_not_there_cannot_be_replaced_or_removed() -> None:
    with pytest.raises(KeyError):
        World().replace(entry(HEALTHY))
    with pytest.raises(KeyError):
        World().remove(("WorkloadEntry", "a", "b"))


def test_two_documents_for_one_thing_are_refused_by_name() -> None:
    with pytest.raises(AlreadyThere, match="ServiceEntry istio-demo/nginx is already there"):
        story.world(story.SERVICE, story.SERVICE)


def test_a_file_that_is_read_again_exchanges_its_resources_in_one_step() -> None:
    other = story.SERVICE.replace("nginx.jd.com", "xxx.jd.com").replace("name: nginx\n", "name: xxx\n", 1)
    world = story.world(story.SERVICE, story.REGISTERED)
    old = [key_of(each) for each in world.all(ServiceEntry)]
    new = parse(other + "---" + story.SERVICE, file="again.yaml").resources
    world = world.exchange(old, new)
    assert [(each.host, each.allocated) for each in Registry(world, Mesh()).services()] == [
        ("nginx.jd.com", "240.240.0.1"),
        ("xxx.jd.com", "240.240.0.2"),
    ]
    assert len(world.all(WorkloadEntry)) == 1


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
        (
            story.POD.replace("  labels:", "  annotations: {sidecar.istio.io/status: '{}'}\n  labels:"),
            "istio",
        ),
    ],
    ids=["service account", "none", "label", "bare pod", "labelled pod", "injected pod"],
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
    registry = Registry(world, Mesh())
    (service,) = registry.services()
    assert [each.port(service.ports[0]) for each in registry.instances(service)] == [8080, 8000]


def test_a_resolved_service_without_endpoints_is_its_own_name() -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out}
spec: {hosts: [www.baidu.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
"""
    (instance,) = instances(text)
    assert (instance.address, instance.serving) == ("www.baidu.com", True)
