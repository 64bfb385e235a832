"""``lab apply`` and ``lab delete``: what becomes of each document is told."""

import json
from pathlib import Path

import yaml

from lab.controlplane.api import Api
from tests.unit.lab.kubectl.words import STORY, apply, lab
from tests.unit.lab.served import entry, pod, resource, service


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
