"""``lab get``: tables as kubectl prints them, and documents."""

import json

import pytest
import yaml

from lab.controlplane.api_paths import KINDS as SERVED
from lab.hosts.cluster import KINDS
from tests.unit.lab.kubectl.words import STORY, WAY, apply, lab
from tests.unit.lab.served import pod, resource, rule, service, virtual_service

PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
ODD = 'status:\n  reason: "\\e[31mred\\n"\n'


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


def test_the_words_of_lab_are_the_kinds_that_are_served() -> None:
    served = {(each.kind, each.plural, each.qualified, each.namespaced) for each in SERVED}
    known = {
        (each.name, each.plural, f"{each.plural}.{each.group}".rstrip("."), each.namespaced) for each in KINDS
    }
    assert known == served
