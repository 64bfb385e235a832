import pytest
import yaml

from lab.controlplane.kinds.destination_rule import DestinationRule
from lab.controlplane.kinds.document import BadDocument
from lab.controlplane.kinds.kubernetes import ConfigMap, Namespace, Pod, ServiceAccount
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.kinds.service_entry import Resolution, ServiceEntry
from lab.controlplane.kinds.virtual_service import VirtualService
from lab.controlplane.kinds.workload import Condition, WorkloadEntry, WorkloadGroup
from lab.controlplane.resources import Resource, parse, to_document, to_yaml
from tests.unit.lab import story
from tests.unit.lab.recorded import ISTIOD, SCENARIOS


def one(text: str) -> Resource:
    parsed = parse(text, file="one.yaml")
    assert parsed.warnings == ()
    (resource,) = parsed.resources
    return resource


def test_the_documents_service_entry_is_read_as_written() -> None:
    entry = one(story.SERVICE)
    assert isinstance(entry, ServiceEntry)
    assert entry.hosts == ("nginx.jd.com",)
    assert [(port.name, port.number, port.protocol) for port in entry.ports] == [("http", 80, Protocol.HTTP)]
    assert entry.resolution is Resolution.STATIC
    assert not entry.external
    assert entry.selector == {"app": "nginx"}


def test_the_documents_workload_group_hands_its_probe_on_untouched() -> None:
    group = one(story.GROUP)
    assert isinstance(group, WorkloadGroup)
    assert group.template.service_account == "vm"
    assert group.labels == {"app": "nginx"}
    assert group.probe == {"httpGet": {"port": 80}}


def test_a_group_has_the_same_uid_every_time_unless_the_document_brings_one() -> None:
    first, again = one(story.GROUP), one(story.GROUP)
    assert isinstance(first, WorkloadGroup)
    assert isinstance(again, WorkloadGroup)
    assert first.uid == again.uid != ""
    own = one(story.GROUP.replace("  name: nginx\n", "  name: nginx\n  uid: 5851164e\n", 1))
    assert isinstance(own, WorkloadGroup)
    assert own.uid == "5851164e"


def test_a_registered_entry_is_shown_as_the_document_shows_it() -> None:
    entry = one(story.REGISTERED)
    assert isinstance(entry, WorkloadEntry)
    assert to_document(entry) == yaml.safe_load(story.REGISTERED)
    assert to_yaml([to_document(entry)]) == story.REGISTERED.lstrip("\n").replace('"2021', "'2021").replace(
        'Z"', "Z'"
    )


def test_an_entry_with_conditions_survives_writing_and_reading() -> None:
    text = story.REGISTERED + (
        "status:\n  conditions:\n  - {type: Healthy, status: 'False', message: refused, "
        "lastProbeTime: 2026-11-21T02:51:27Z, lastTransitionTime: '2026-11-21T02:51:28Z'}\n"
    )
    entry = one(text)
    assert isinstance(entry, WorkloadEntry)
    assert entry.conditions == (
        Condition(
            type="Healthy",
            status="False",
            message="refused",
            last_probe_time="2026-11-21T02:51:27Z",
            last_transition_time="2026-11-21T02:51:28Z",
        ),
    )
    assert one(to_yaml([to_document(entry)])) == entry


def test_a_group_survives_writing_and_reading() -> None:
    group = one(story.GROUP)
    assert isinstance(group, WorkloadGroup)
    assert one(to_yaml([to_document(group)])) == group


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_every_api_version_of_the_documents_is_the_same_to_us(version: str) -> None:
    entry = one(story.SERVICE.replace("v1alpha3", version))
    assert entry == one(story.SERVICE)


def test_a_missing_namespace_means_default() -> None:
    assert one(story.SERVICE.replace("  namespace: istio-demo\n", "")).metadata.namespace == "default"


def test_a_namespace_is_found_under_its_own_name() -> None:
    namespace = one("{apiVersion: v1, kind: Namespace, metadata: {name: istio-demo}}")
    assert isinstance(namespace, Namespace)
    assert namespace.metadata.namespace == "istio-demo"


def test_the_kubernetes_kinds_are_read() -> None:
    pod = one(story.POD)
    assert isinstance(pod, Pod)
    assert (pod.address, pod.service_account, pod.ready) == ("192.168.0.20", "", True)
    account = one("{apiVersion: v1, kind: ServiceAccount, metadata: {name: vm, namespace: istio-demo}}")
    assert isinstance(account, ServiceAccount)
    assert account.uid
    config = one(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: istio}, data: {mesh: 'trustDomain: td'}}"
    )
    assert isinstance(config, ConfigMap)
    assert config.data == {"mesh": "trustDomain: td"}


def test_a_pod_is_ready_unless_its_condition_says_no_and_may_have_no_address_yet() -> None:
    pod = one("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {serviceAccountName: b}}")
    assert isinstance(pod, Pod)
    assert (pod.address, pod.service_account, pod.ready) == ("", "b", True)
    unready = one(story.POD.replace('status: "True"', 'status: "False"'))
    assert isinstance(unready, Pod)
    assert not unready.ready


def test_routing_documents_are_read() -> None:
    parsed = parse(story.routing(vm=100, docker=0), file="r.yaml")
    rule, service = parsed.resources
    assert isinstance(rule, DestinationRule)
    assert [(subset.name, dict(subset.labels)) for subset in rule.subsets] == [
        ("vm", {"class": "vm"}),
        ("docker", {"class": "docker"}),
    ]
    assert isinstance(service, VirtualService)
    assert [
        (each.destination.host, each.destination.subset, each.weight) for each in service.http[0].route
    ] == [
        ("nginx.jd.com", "vm", 100),
        ("nginx.jd.com", "docker", 0),
    ]
    assert parsed.warnings == ()


def test_what_is_not_served_is_set_aside_by_name() -> None:
    parsed = parse(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: once}}\n---\n"
        "{apiVersion: networking.istio.io/v1, kind: EnvoyFilter, metadata: {name: lua}}\n---\n---\n"
        + story.SERVICE,
        file="mixed.yaml",
    )
    assert len(parsed.resources) == 1
    assert parsed.warnings == (
        "mixed.yaml, document 1: Job once (batch/v1) is set aside: it is not served here",
        "mixed.yaml, document 2: EnvoyFilter lua (networking.istio.io/v1) is set aside: it is not served "
        "here",
    )


def test_a_list_is_read_item_by_item() -> None:
    items = [yaml.safe_load(story.SERVICE), yaml.safe_load(story.GROUP)]
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    assert len(parse(text, file="list.yaml").resources) == 2


def test_a_setting_nobody_serves_is_not_silently_ignored() -> None:
    text = story.routing(vm=100, docker=0).replace(
        "  host:", "  trafficPolicy: {loadBalancer: {simple: RANDOM}, tunnel: {targetHost: a}}\n  host:", 1
    )
    assert parse(text, file="r.yaml").warnings == (
        "r.yaml, document 1: DestinationRule istio-demo/nginx-dr: spec.trafficPolicy.tunnel is not served by "
        "this control plane",
    )


def test_a_route_that_delegates_is_left_out_because_without_what_it_hands_on_it_means_nothing() -> None:
    text = story.routing(vm=100, docker=0) + "    - {name: elsewhere, delegate: {name: other}}\n"
    parsed = parse(text, file="r.yaml")
    service = parsed.resources[1]
    assert isinstance(service, VirtualService)
    assert [each.name for each in service.http] == ["http-nginx-route"]
    assert [warning.partition("spec.")[2] for warning in parsed.warnings] == [
        "http[1].delegate is not served by this control plane",
    ]


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (
            "number: 80",
            "number: 70000",
            "spec.ports[0].number is 70000: write a whole number from 1 to 65535",
        ),
        ("number: 80", "number: '80'", "spec.ports[0].number is '80': write a whole number from 1 to 65535"),
        ("number: 80", "number: true", "spec.ports[0].number is True: write a whole number from 1 to 65535"),
        ("  - name: http\n    number", "  - number", "spec.ports[0].name is nothing: write a string"),
        (
            "protocol: HTTP",
            "protocol: HTPP",
            "spec.ports[0].protocol is 'HTPP': unsupported protocol: write one of HTTP, HTTP2, GRPC,",
        ),
        ("STATIC", "STATICK", "spec.resolution is 'STATICK': write one of NONE, STATIC, DNS"),
        (
            "      app: nginx",
            "      app: 1",
            "spec.workloadSelector.labels.app is 1: write a string (quote it)",
        ),
        (
            "  hosts:\n  - nginx.jd.com",
            "  hosts: []",
            "spec.hosts is []: service entry must have at least one host",
        ),
        ("  hosts:\n  - nginx.jd.com", "  hosts: x.com", "spec.hosts is 'x.com': write a list"),
        (
            "v1alpha3",
            "v1alpha4",
            "apiVersion is 'networking.istio.io/v1alpha4': write one of networking.istio.io/v1,",
        ),
        ("  name: nginx", "  name: ''", "metadata.name is '': write a value that is not empty"),
        (
            "metadata:\n  name: nginx\n  namespace: istio-demo",
            "metadata: x",
            "metadata is 'x': write a mapping of keys",
        ),
        (
            "  workloadSelector:",
            "  endpoints: [{address: 1.1.1.1}]\n  workloadSelector:",
            "spec.endpoints is [{'address': '1.1.1.1'}]: only one of WorkloadSelector or Endpoints is",
        ),
    ],
)
def test_a_mistake_is_named_with_file_document_key_value_and_remedy(
    before: str, after: str, complaint: str
) -> None:
    assert before in story.SERVICE
    with pytest.raises(BadDocument) as caught:
        parse(story.GROUP + "---\n" + story.SERVICE.replace(before, after, 1), file="mesh.yaml")
    assert str(caught.value).startswith(f"mesh.yaml, document 2: {complaint}")


EXTERNAL = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out}
spec:
  hosts: [HOSTS]
  ports: [{number: 80, name: http, protocol: PROTOCOL}]
  resolution: STATIC
  endpoints: [ENDPOINT]
"""


@pytest.mark.parametrize(
    ("hosts", "protocol", "endpoint", "complaint"),
    [
        ("a.com", "HTTP", "{address: b.com}", "spec.endpoints[0].address is 'b.com': write an IP address"),
        (
            "a.com",
            "HTTP",
            "{address: 1.1.1.1, ports: {https: 8080}}",
            "endpoint port 8080 is not defined by the service entry",
        ),
        ("a.com, b.com", "TCP", "{address: 1.1.1.1}", "multiple hosts provided with non-HTTP, non-TLS ports"),
        ("a.com", "HTTP", "{}", "spec.endpoints[0].address is nothing: write a string"),
    ],
)
def test_what_istiod_refuses_is_refused(hosts: str, protocol: str, endpoint: str, complaint: str) -> None:
    text = EXTERNAL.replace("HOSTS", hosts).replace("PROTOCOL", protocol).replace("ENDPOINT", endpoint)
    with pytest.raises(BadDocument) as caught:
        parse(text, file="out.yaml")
    assert complaint in str(caught.value)


def test_text_that_is_no_yaml_is_named_by_file_and_line() -> None:
    with pytest.raises(BadDocument, match=r"tab.yaml, document 1: not YAML: .* line 2, column 1"):
        parse("kind: Pod\n\tname: x\n", file="tab.yaml")


@pytest.mark.parametrize("text", ["- a\n", "just words\n", "{kind: Pod}\n"])
def test_a_document_that_is_no_resource_is_refused(text: str) -> None:
    with pytest.raises(BadDocument):
        parse(text, file="odd.yaml")


def test_every_scenario_of_the_stories_loads() -> None:
    if not SCENARIOS.is_dir():
        pytest.skip("scenarios not present")
    for path in sorted(SCENARIOS.glob("*.yaml")):
        assert parse(path.read_text(), file=path.name).resources, path.name


def test_every_recorded_state_of_a_registered_entry_is_read_back_as_istiod_wrote_it() -> None:
    path = ISTIOD / "01-vm-joins-the-mesh" / "workloadentries.yaml"
    if not path.is_file():
        pytest.skip("recording 01 not present")
    (entry,) = parse(path.read_text(), file=path.name).resources
    assert isinstance(entry, WorkloadEntry)
    (document,) = (each for each in yaml.safe_load_all(path.read_text()) if each)
    assert to_document(entry) == document
