"""``lab get``, ``apply`` and ``delete``, asked of the control plane's real API without a socket between."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from lab.cli import main
from lab.controlplane.api import Api
from lab.controlplane.api_paths import KINDS as SERVED
from lab.controlplane.builtins import Builtins
from lab.controlplane.fault_api import FaultApi
from lab.controlplane.faults import Faults
from lab.controlplane.http import HttpRequest
from lab.controlplane.mesh import Allocation
from lab.controlplane.records import Records
from lab.controlplane.resource_files import ResourceFiles
from lab.controlplane.store import Store
from lab.controlplane.timestamps import SECOND
from lab.controlplane.tokens import TokenIssuer
from lab.hosts.cluster import KINDS, Cluster
from lab.hosts.loopback import Answer
from lab.kubectl.age import age, duration
from tests.unit.lab.served import entry, pod, resource, rule, service, to, virtual_service

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())
BORN = NOW - (5 * 24 + 3) * 3600 - 1200


@pytest.fixture(autouse=True)
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    """What the words of ``lab`` reach. Everything was applied five days and some three hours ago."""
    resources = tmp_path / "resources"
    resources.mkdir()
    made = Api(
        store=Store(ResourceFiles(resources), Records(tmp_path), lambda: BORN * SECOND),
        builtins=Builtins(root_pem="", trust_domain="cluster.local", cluster_id="Kubernetes"),
        allocation=Allocation.NEXT_FREE,
        issuer=TokenIssuer(ec.generate_private_key(ec.SECP256R1()), "issuer"),
        audience="istio-ca",
        syncz=list,
        faults=FaultApi(faults=Faults(), drop_connections=lambda: None),
        now=lambda: NOW * SECOND,
    )

    def send(_: Cluster, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        where = tuple(filter(None, path.split("/")))
        answer = made.handle(HttpRequest(method=method, path=where, body=content))
        text = json.dumps(answer.body, default=str)
        return Answer(status=answer.status, text=text, warnings=answer.warnings)

    monkeypatch.setattr(Cluster, "_send", send)
    return made


def lab(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, words, input=given)


def apply(*documents: str) -> Result:
    return lab("apply", "-f", "-", given="---\n".join(documents))


PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
ODD = 'status:\n  reason: "\\e[31mred\\n"\n'
WAY: dict[str, Any] = {"http": [{"route": [to("nginx.jd.com")]}]}
STORY = (
    entry("nginx.jd.com", "80/HTTP", name="svc-entry", location="MESH_INTERNAL"),
    entry("www.baidu.com", "80/HTTP", "443/TLS", name="baidu", resolution="DNS", namespace="default"),
)


def test_service_entries_are_listed_as_kubectl_lists_them() -> None:
    apply(*STORY)
    assert lab("get", "se", "-A").output.splitlines() == [
        "NAMESPACE    NAME        HOSTS               LOCATION        RESOLUTION   AGE",
        'default      baidu       ["www.baidu.com"]                   DNS          5d3h',
        'istio-demo   svc-entry   ["nginx.jd.com"]    MESH_INTERNAL   STATIC       5d3h',
    ]


def test_a_list_of_one_namespace_has_no_column_for_it() -> None:
    apply(*STORY)
    assert lab("get", "serviceentries", "-n", "istio-demo").output.splitlines() == [
        "NAME        HOSTS              LOCATION        RESOLUTION   AGE",
        'svc-entry   ["nginx.jd.com"]   MESH_INTERNAL   STATIC       5d3h',
    ]


@pytest.mark.parametrize(
    ("words", "document", "heading", "cells"),
    [
        ("we", resource("WorkloadEntry", "vm", {"address": "192.168.0.204"}), "AGE ADDRESS", "192.168.0.204"),
        ("wg", resource("WorkloadGroup", "nginx", {"template": {"serviceAccount": "vm"}}), "AGE", "5d3h"),
        ("vs", virtual_service("xxx.jd.com", **WAY), "GATEWAYS HOSTS AGE", '["xxx.jd.com"]'),
        ("dr", rule("xxx.jd.com"), "HOST AGE", "xxx.jd.com"),
        (
            "pa",
            resource(
                "PeerAuthentication", "pa", {"mtls": {"mode": "STRICT"}}, version="security.istio.io/v1"
            ),
            "MODE AGE",
            "STRICT",
        ),
        (
            "gw",
            resource("Gateway", "gw", {"servers": [{"port": PORT, "hosts": ["*"]}]}),
            "AGE",
            "5d3h",
        ),
        ("po", pod("docker", "192.168.0.20", labels={}), "READY STATUS RESTARTS AGE", "0/1"),
        (
            "svc",
            service("web", {"port": 80, "name": "http"}, clusterIP="10.96.0.9", selector={"app": "web"}),
            "TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE",
            "10.96.0.9 <none> 80/TCP",
        ),
    ],
)  # fmt: skip
def test_each_kind_has_the_columns_that_its_definition_gives_it(
    words: str, document: str, heading: str, cells: str
) -> None:
    assert apply(document).exit_code == 0
    first, second = lab("get", words, "-n", "istio-demo").output.splitlines()
    assert first.split() == ["NAME", *heading.split()]
    assert cells in " ".join(second.split())


def test_wide_says_more_of_the_kinds_that_have_more_to_say() -> None:
    apply(pod("docker", "192.168.0.20", labels={}))
    assert "192.168.0.20" in lab("get", "pods", "-n", "istio-demo", "-o", "wide").output
    assert "192.168.0.20" not in lab("get", "pods", "-n", "istio-demo").output


def test_nothing_is_said_to_be_nothing_and_is_no_failure() -> None:
    here, everywhere = lab("get", "se"), lab("get", "se", "-A")
    assert (here.stdout, here.stderr) == ("", "No resources found in default namespace.\n")
    assert (everywhere.stdout, everywhere.stderr) == ("", "No resources found\n")
    assert here.exit_code == everywhere.exit_code == 0


def test_what_is_not_there_is_named_with_its_group() -> None:
    apply(*STORY)
    gone = lab("get", "se", "x", "baidu")
    assert gone.stderr == 'Error from server (NotFound): serviceentries.networking.istio.io "x" not found\n'
    assert gone.stdout.splitlines()[1].startswith("baidu ")
    assert gone.exit_code == 1


def test_several_kinds_are_several_tables_whose_names_say_which() -> None:
    apply(STORY[0], virtual_service("nginx.jd.com", **WAY))
    lines = lab("get", "se,vs", "-n", "istio-demo").output.splitlines()
    assert lines[1].startswith("serviceentry.networking.istio.io/svc-entry ")
    assert lines[2] == ""
    assert lines[4].startswith("virtualservice.networking.istio.io/way ")


def test_documents_come_as_yaml_json_and_names() -> None:
    apply(*STORY)
    one = yaml.safe_load(lab("get", "se", "svc-entry", "-n", "istio-demo", "-o", "yaml").output)
    assert one["spec"]["hosts"] == ["nginx.jd.com"]
    many = json.loads(lab("get", "se", "-A", "-o", "json").output)
    assert (many["kind"], len(many["items"])) == ("List", 2)
    assert lab("get", "se", "-o", "name").output == "serviceentry.networking.istio.io/baidu\n"
    assert lab("get", "ns", "istio-demo", "-o", "name").output == "namespace/istio-demo\n"


def test_what_would_command_a_terminal_is_written_out() -> None:
    apply(pod("evil", "192.168.0.20", labels={}).replace("status:\n", ODD, 1))
    output = lab("get", "pods", "-n", "istio-demo").output
    assert "\x1b" not in output
    assert "\\x1b[31mred\\n" in output


def test_applying_says_what_became_of_each_document() -> None:
    assert apply(*STORY).output.splitlines() == [
        "serviceentry.networking.istio.io/svc-entry created",
        "serviceentry.networking.istio.io/baidu created",
    ]
    changed = STORY[1].replace("DNS", "NONE")
    assert apply(STORY[0], changed).output.splitlines() == [
        "serviceentry.networking.istio.io/svc-entry unchanged",
        "serviceentry.networking.istio.io/baidu configured",
    ]


def test_what_the_control_plane_writes_itself_is_unchanged_when_applied_again() -> None:
    documents = (
        resource("WorkloadEntry", "vm", {"address": "192.168.0.204", "labels": {"app": "nginx"}}),
        pod("docker", "192.168.0.20", labels={"app": "nginx"}),
        yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
    )
    assert {line.split()[1] for line in apply(*documents).output.splitlines()} == {"created"}
    assert apply(*documents).output.splitlines() == [
        "workloadentry.networking.istio.io/vm unchanged",
        "pod/docker unchanged",
        "namespace/shop unchanged",
    ]


def test_a_bad_document_is_named_with_its_rule_and_stops_no_other(tmp_path: Path, api: Api) -> None:
    bad = STORY[0].replace("number: 80", "number: 80000")
    broken = "kind: ServiceEntry\nmetadata: {name: [\n"
    unknown = resource("EnvoyFilter", "patch", {})
    nameless = "apiVersion: v1\nkind: Pod\nmetadata: {}\n"
    path = tmp_path / "mesh.yaml"
    path.write_text("---\n".join([bad, broken, unknown, nameless, STORY[1]]))
    missing = tmp_path / "missing.yaml"
    done = lab("apply", "-f", str(path), "-f", str(missing))
    assert done.stdout == "serviceentry.networking.istio.io/baidu created\n"
    assert done.exit_code == 1
    refused, parsing, mapping, validating, absent = done.stderr.splitlines()
    assert refused == (
        f'Error from server: error when applying "{path}", document 1: admission webhook '
        '"validation.istio.io" denied the request: configuration is invalid: spec.ports[0].number is 80000: '
        "write a whole number from 1 to 65535"
    )
    assert parsing.startswith(f'error: error parsing "{path}", document 2: not YAML: ')
    assert mapping.endswith(
        f'from "{path}", document 3: no matches for kind "EnvoyFilter" in version "networking.istio.io/v1": '
        "it is not served here"
    )
    assert validating == (
        f'error: error validating "{path}", document 4: metadata.name is nothing: write a text that is not '
        "empty"
    )
    assert absent == f'error: the path "{missing}" does not exist'
    assert [key[2] for key in api.store.world.resources] == ["baidu"]


def test_a_refused_object_of_kubernetes_is_refused_as_an_api_server_does() -> None:
    done = apply(service("web", {"port": 0, "name": "http"}))
    assert done.stderr.startswith('The Service "web" in "STDIN", document 1 is invalid: spec.ports[0].port ')


def test_a_field_that_is_not_served_is_a_warning() -> None:
    spec = {"hosts": ["a.example"], "http": [{"delegate": {"name": "other"}}]}
    done = apply(resource("VirtualService", "way", spec))
    assert done.exit_code in (0, 1)
    assert "delegate" in done.stderr
    odd = apply(entry("a.example", "80/HTTP", colour='"blue"\n', resolution="DNS"))
    assert odd.stderr == (
        "Warning: STDIN, document 1: ServiceEntry istio-demo/a.example: spec.colour is not served by this "
        "control plane\n"
    )
    assert odd.stdout == "serviceentry.networking.istio.io/a.example created\n"


def test_directories_lists_and_several_files_are_applied_and_deleted(tmp_path: Path, api: Api) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.yaml").write_text(STORY[0])
    (tmp_path / "a" / "notes.txt").write_text("kind: [")
    listed = {"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(STORY[1])]}
    (tmp_path / "two.json").write_text(json.dumps(listed))
    files = ("-f", str(tmp_path / "a"), "-f", str(tmp_path / "two.json"))
    assert lab("apply", *files).output.count(" created\n") == 2
    assert lab("delete", *files).output.splitlines() == [
        'serviceentry.networking.istio.io "svc-entry" deleted',
        'serviceentry.networking.istio.io "baidu" deleted',
    ]
    assert not api.store.world.resources
    again = lab("delete", *files)
    assert again.exit_code == 1
    assert again.stderr.splitlines()[0] == (
        f'Error from server (NotFound): error when deleting "{tmp_path}/a/one.yaml", document 1: '
        'serviceentries.networking.istio.io "svc-entry" not found'
    )
    assert lab("delete", "--ignore-not-found", *files).exit_code == 0


def test_a_namespace_is_given_to_documents_that_name_none_and_contradicted_by_none(api: Api) -> None:
    without = STORY[1].replace("  namespace: default\n", "")
    assert lab("apply", "-n", "shop", "-f", "-", given=without).exit_code == 0
    assert [key[1] for key in api.store.world.resources] == ["shop"]
    done = lab("apply", "-n", "shop", "-f", "-", given=STORY[0])
    assert done.exit_code == 1
    assert (
        'namespace from the provided object "istio-demo" does not match the namespace "shop"' in done.stderr
    )


def test_by_kind_and_name_several_go_at_a_time(api: Api) -> None:
    apply(*STORY)
    done = lab("delete", "se", "svc-entry", "other", "-n", "istio-demo")
    assert done.stdout == 'serviceentry.networking.istio.io "svc-entry" deleted\n'
    assert (
        done.stderr == 'Error from server (NotFound): serviceentries.networking.istio.io "other" not found\n'
    )
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (600, "10m"),
        (10799, "179m"), (10800, "3h"), (11100, "3h5m"), (28800, "8h"), (172799, "47h"), (172800, "2d"),
        (183600, "2d3h"), (691200, "8d"), (86400 * 729, "729d"), (86400 * 730, "2y"), (86400 * 735, "2y5d"),
        (86400 * 365 * 8, "8y"),
    ],
)  # fmt: skip
def test_ages_are_said_the_less_exactly_the_older_they_are(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_an_age_that_nobody_wrote_down_is_unknown() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert age("2025-12-31T23:58:00Z", now) == "2m"
    assert {age(each, now) for each in (None, "", "yesterday", 7, "2025-12-31")} == {"<unknown>"}


def test_the_words_of_lab_are_the_kinds_that_are_served() -> None:
    served = {(each.kind, each.plural, each.qualified, each.namespaced) for each in SERVED}
    known = {
        (each.name, each.plural, f"{each.plural}.{each.group}".rstrip("."), each.namespaced) for each in KINDS
    }
    assert known == served
