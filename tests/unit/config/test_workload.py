"""The files for a new VM, key for key as istioctl writes them."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from vmagent.config import envfile, meshfile, workload
from vmagent.config.workload import Group, Wishes
from vmagent.errors import Misconfigured

from . import vm

GROUP = """\
apiVersion: networking.istio.io/v1alpha3
kind: WorkloadGroup
metadata:
  name: "nginx"
  namespace: "istio-demo"
spec:
  metadata:
    labels:
      app: "nginx"
  template:
    serviceAccount: "vm"
    network: ""
  probe:
    httpGet:
      port: 80
"""
"""As the document has it."""

MESH = """\
accessLogFile: /dev/stdout
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  tracing:
    zipkin:
      address: zipkin.istio-system:9411
rootNamespace: istio-system
trustDomain: cluster.local
"""

WISHES = Wishes(cluster_id="Kubernetes", ingress_ip="192.168.0.59", autoregister=True)


def group(text: str = GROUP) -> Group:
    return workload.group(text.encode(), "workloadgroup.yaml")


def mesh(text: str = MESH) -> meshfile.MeshFile:
    found = meshfile.parse(text.encode(), "mesh")
    assert found.problems == ()
    return found


def environment(who: Group, wishes: Wishes, config: meshfile.MeshFile) -> dict[str, str]:
    text = workload.cluster_env(who, wishes, workload.proxy_config(who, wishes, config))
    found = envfile.parse(text.encode(), Path("cluster.env"), {})
    assert found.problems == ()
    return {key: entry.value for key, entry in found.values.items()}


def metadata(who: Group, wishes: Wishes, config: meshfile.MeshFile) -> dict[str, object]:
    found = workload.proxy_config(who, wishes, config)["proxyMetadata"]
    assert isinstance(found, dict)
    return dict(found)


def test_the_documents_group_becomes_the_documents_files() -> None:
    proxy = workload.proxy_config(group(), WISHES, mesh())
    labels = vm.LABELS.replace('"class":"vm",', "")
    assert workload.cluster_env(group(), WISHES, proxy) == vm.CLUSTER_ENV.replace(vm.LABELS, labels)
    ours = meshfile.parse(workload.mesh_yaml(proxy).encode(), "mesh.yaml")
    theirs = meshfile.parse(vm.MESH.replace(vm.LABELS, labels).encode(), "mesh.yaml")
    assert (ours.proxy_config, ours.problems, ours.unknown) == (theirs.proxy_config, (), ())
    assert workload.hosts(WISHES) == "192.168.0.59 istiod.istio-system.svc\n"


def test_what_is_written_is_taken_back_without_a_word() -> None:
    proxy = workload.proxy_config(group(), WISHES, mesh())
    found = vm.resolved(cluster=workload.cluster_env(group(), WISHES, proxy), mesh=workload.mesh_yaml(proxy))
    assert (found.problems, found.unknown, found.notes) == ((), (), ())
    assert found.config.workload.group == "nginx"
    assert found.config.dns.enabled


def test_without_registration_or_dns_their_keys_are_not_written() -> None:
    found = environment(group(), Wishes(cluster_id="c", capture_dns=False), mesh())
    assert "ISTIO_META_AUTO_REGISTER_GROUP" not in found
    assert "ISTIO_META_DNS_CAPTURE" not in found


def test_what_the_mesh_says_about_dns_stays_where_the_command_line_says_nothing() -> None:
    config = mesh('defaultConfig:\n  proxyMetadata:\n    ISTIO_META_DNS_CAPTURE: "true"\n    OTHER: x\n')
    found = environment(group(), Wishes(cluster_id="c", capture_dns=False), config)
    assert (found["ISTIO_META_DNS_CAPTURE"], found["OTHER"]) == ("true", "x")


def test_ports_of_the_template_are_the_only_ones_captured_in_order() -> None:
    text = GROUP.replace('network: ""', "ports: {web: 8080, admin: 81, again: 8080}")
    found = environment(group(text), WISHES, mesh())
    assert found["ISTIO_INBOUND_PORTS"] == "81,8080"
    assert found["ISTIO_META_POD_PORTS"] == (
        '[{"name":"admin","containerPort":81,"protocol":""},'
        '{"name":"again","containerPort":8080,"protocol":""},'
        '{"name":"web","containerPort":8080,"protocol":""}]'
    )


@pytest.mark.parametrize(
    ("port", "excluded"),
    [(15020, "22,15090,15021,15020"), (15555, "22,15090,15021,15555"), (15090, "22,15090,15021")],
)
def test_the_agents_own_ports_are_not_captured(port: int, excluded: str) -> None:
    found = environment(group(), WISHES, mesh(f"defaultConfig: {{statusPort: {port}}}\n"))
    assert found["ISTIO_LOCAL_EXCLUDE_PORTS"] == excluded


def test_a_revision_names_its_own_control_plane() -> None:
    wishes = dataclasses.replace(WISHES, revision="canary")
    proxy = workload.proxy_config(group(), wishes, mesh("defaultConfig: {}\n"))
    assert proxy["discoveryAddress"] == "istiod-canary.istio-system.svc:15012"
    assert environment(group(), wishes, mesh())["CA_ADDR"] == "istiod-canary.istio-system.svc:15012"
    assert workload.hosts(wishes) == "192.168.0.59 istiod-canary.istio-system.svc\n"
    plain = dataclasses.replace(WISHES, revision="default")
    assert "CA_ADDR" not in environment(group(), plain, mesh())


def test_an_address_that_the_machine_has_or_has_not_is_written() -> None:
    inner = environment(group(), dataclasses.replace(WISHES, internal_ip="10.0.0.1"), mesh())
    assert inner["ISTIO_SVC_IP"] == "10.0.0.1"
    assert "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION" not in inner
    outer = environment(group(), dataclasses.replace(WISHES, external_ip="203.0.113.1"), mesh())
    assert outer["ISTIO_SVC_IP"] == "203.0.113.1"
    assert outer["REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"] == "true"


def test_without_an_address_of_istiod_hosts_is_empty() -> None:
    assert workload.hosts(Wishes(cluster_id="c")) == ""


@pytest.mark.parametrize(
    ("labels", "name", "revision"),
    [
        ("{}", "nginx", "latest"),
        ("{app: a, version: v1}", "a", "v1"),
        ("{app: a, app.kubernetes.io/name: b, app.kubernetes.io/version: v2}", "b", "v2"),
        (
            "{service.istio.io/canonical-name: c, service.istio.io/canonical-revision: r, app: a}",
            "c",
            "r",
        ),
    ],
)
def test_the_canonical_service_is_found_in_istios_order(labels: str, name: str, revision: str) -> None:
    text = GROUP.replace('labels:\n      app: "nginx"', f"labels: {labels}")
    found = metadata(group(text), WISHES, mesh())
    assert (found["CANONICAL_SERVICE"], found["CANONICAL_REVISION"]) == (name, revision)


def test_labels_of_the_template_lie_over_those_of_the_group() -> None:
    text = GROUP.replace('network: ""', "labels: {app: other, tier: web}")
    assert dict(group(text).labels) == {"app": "other", "tier": "web"}


def test_a_mesh_wide_probe_stays_where_the_group_has_none() -> None:
    text = GROUP.partition("  probe:")[0]
    config = mesh("defaultConfig:\n  readinessProbe: {tcpSocket: {port: 1}}\n")
    assert workload.proxy_config(group(text), WISHES, config)["readinessProbe"] == {"tcpSocket": {"port": 1}}
    assert workload.proxy_config(group(), WISHES, config)["readinessProbe"] == {"httpGet": {"port": 80}}


def test_annotations_lie_over_the_mesh_the_inner_one_last() -> None:
    text = GROUP.replace(
        '  namespace: "istio-demo"',
        '  namespace: "istio-demo"\n  annotations: {proxy.istio.io/config: "meshId: a\\nconcurrency: 1"}',
    ).replace("    labels:", '    annotations: {proxy.istio.io/config: "meshId: b"}\n    labels:')
    proxy = workload.proxy_config(group(text), WISHES, mesh())
    assert (proxy["meshId"], proxy["concurrency"]) == ("b", 1)
    assert environment(group(text), WISHES, mesh())["ISTIO_META_MESH_ID"] == "b"


def test_a_bad_annotation_is_told() -> None:
    text = GROUP.replace(
        "    labels:", '    annotations: {proxy.istio.io/config: "concurrency: many"}\n    labels:'
    )
    with pytest.raises(
        Misconfigured, match=r"annotation proxy.istio.io/config of nginx:1: concurrency='many'"
    ):
        workload.proxy_config(group(text), WISHES, mesh())


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("FOO-BAR", "'FOO-BAR'"),
        ("X;touch /tmp/p;Y", "'X;touch /tmp/p;Y'"),
        ("A=1 B", "'A=1 B'"),
        ("A\\n id #", r"'A\\n id #'"),
        ("$(id)", r"'\$\(id\)'"),
        ("", "''"),
        ("1A", "'1A'"),
        ("é", "'é'"),
    ],
)
@pytest.mark.parametrize("of_the_mesh", [True, False])
def test_a_key_that_the_start_script_would_run_is_refused(key: str, shown: str, of_the_mesh: bool) -> None:
    config = f'{{"proxyMetadata": {{"{key}": "1", "GOOD": "1"}}}}'
    text = GROUP.replace(
        "    labels:", f"    annotations: {{proxy.istio.io/config: {json.dumps(config)}}}\n    labels:"
    )
    given = group(GROUP if of_the_mesh else text)
    meshed = mesh(f"defaultConfig: {config}\n") if of_the_mesh else mesh()
    with pytest.raises(Misconfigured, match=f"of nginx: {shown}: not the name of a variable"):
        environment(given, WISHES, meshed)


@pytest.mark.parametrize("value", ["a\\0b", "a\\rb"])
def test_a_value_that_the_agent_would_refuse_is_refused_when_it_is_written(value: str) -> None:
    config = mesh(f'defaultConfig: {{proxyMetadata: {{OWNER: "{value}"}}}}\n')
    with pytest.raises(Misconfigured, match="'OWNER': its value has a NUL byte or a carriage return"):
        environment(group(GROUP), WISHES, config)


def test_a_group_without_metadata_template_or_account_gets_the_defaults() -> None:
    found = group("kind: WorkloadGroup\nmetadata: {name: a, namespace: b}\n")
    assert (found.service_account, found.network, found.probe, dict(found.labels)) == (
        "default",
        "",
        None,
        {},
    )


def test_the_trust_domain_is_written_even_if_the_mesh_leaves_it_out() -> None:
    assert metadata(group(), WISHES, mesh(""))["TRUST_DOMAIN"] == "cluster.local"
    assert metadata(group(), WISHES, mesh("trustDomain: td1\n"))["TRUST_DOMAIN"] == "td1"


def test_other_documents_in_the_file_do_not_matter() -> None:
    assert group(f"kind: Namespace\n---\n{GROUP}---\n").name == "nginx"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "workloadgroup.yaml:1: holds 0 WorkloadGroups"),
        ("kind: ServiceEntry\n", "holds 0 WorkloadGroups"),
        (f"{GROUP}---\n{GROUP}", "holds 2 WorkloadGroups"),
        ("kind: [\n", "not YAML"),
        (GROUP.replace("  probe", "\tprobe"), "workloadgroup.yaml:13: probe='': a tab in the indentation"),
        (
            GROUP.replace('name: "nginx"', 'name: "${VM_APP}"'),
            "metadata.name='${VM_APP}': not a Kubernetes name",
        ),
        (
            GROUP.replace('  namespace: "istio-demo"\n', ""),
            "workloadgroup.yaml:3: metadata.namespace: not set",
        ),
        (GROUP.replace("port: 80", "port: 0"), "spec.probe.httpGet.port='0': out of range"),
        (GROUP.replace("serviceAccount", "serviceAcount"), "did you mean serviceAccount?"),
        (
            GROUP.replace('network: ""', "ports: {http: web}"),
            "spec.template.ports.http='web': expected a whole",
        ),
    ],
)
def test_a_bad_group_is_refused_with_file_line_and_remedy(text: str, says: str) -> None:
    with pytest.raises(Misconfigured) as wrong:
        group(text)
    assert says in str(wrong.value)
    assert str(wrong.value).startswith("workloadgroup.yaml:")


@pytest.mark.effects
@pytest.mark.parametrize("text", ["", "plain", "it's", "'", '"$(id)"', "a\nb", "*", "\\"])
def test_a_quoted_value_survives_a_shell_and_our_own_reading(text: str) -> None:
    line = f"A={workload.quoted(text)}"
    shell = subprocess.run(
        ["/bin/sh", "-c", f'{line}; printf %s "$A"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == text
    assert envfile.parse(line.encode(), Path("x"), {}).values["A"].value == text
