"""What Python reads from the machine and cannot be sent to anybody."""

from dataclasses import replace

import pytest

from vmagent import wiring

from . import vm

LATIN = "m\udcfcnchen"
"""As Python reads the bytes of a name that is in Latin-1."""


def test_a_host_name_that_is_not_utf8_is_named_with_both_remedies() -> None:
    (line,) = vm.complaints(host=replace(vm.HOST, name=f"{LATIN}.example.com"))
    assert line == (
        "this machine: hostname='m\\udcfcnchen.example.com': not UTF-8;"
        " hostnamectl set-hostname NAME, or set POD_NAME"
    )


def test_a_name_of_its_own_helps_whatever_the_host_is_called() -> None:
    config = vm.config(host=replace(vm.HOST, name=LATIN), more="POD_NAME='muenchen'\n")
    assert wiring.xds_node(config).id.split("~")[2] == "muenchen.istio-demo"


def test_a_domain_behind_the_name_does_not_matter() -> None:
    assert wiring.xds_node(vm.config(host=replace(vm.HOST, name=f"vm204.{LATIN}"))).id


@pytest.mark.parametrize(
    "name", ["POD_NAME", "ISTIO_META_OWNER", "XDS_HEADER_X", "PROXY_CONFIG", "ISTIO_SVC_IP"]
)
def test_a_variable_of_the_environment_that_is_not_utf8_is_named(name: str) -> None:
    lines = vm.complaints(environ={name: LATIN})
    assert any(line.startswith(f"environment: {name}=") and "not UTF-8" in line for line in lines), lines


def test_what_others_keep_in_the_environment_is_theirs() -> None:
    environ = {"LS_COLORS": LATIN, "SOMEBODY": LATIN}
    config = vm.config(environ=environ, more='ISTIO_META_OWNER="$SOMEBODY"\n')
    assert wiring.xds_node(config).metadata["OWNER"] == "m?nchen"


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("""ISTIO_METAJSON_X='{"A":"\\ud800"}'\n""", "node.metadata.A"),
        ("""ISTIO_METAJSON_X='{"A":{"b":["\\ud800"]}}'\n""", "node.metadata.A.b"),
        ("""ISTIO_METAJSON_X='{"A":{"\\ud800":"b"}}'\n""", "node.metadata.A"),
        ("""ISTIO_METAJSON_LABELS='{"app":"\\ud800"}'\n""", "node.metadata.LABELS.app"),
    ],
)
def test_half_a_character_in_json_is_found_where_it_would_be_sent(more: str, key: str) -> None:
    lines = vm.complaints(more=more)
    assert any(f": {key}='" in line and "not UTF-8" in line for line in lines), lines


def test_half_a_character_in_the_mesh_file_is_found_where_it_stands() -> None:
    mesh = vm.MESH.replace("CANONICAL_SERVICE: nginx", 'ISTIO_META_OWNER: "\\ud800"')
    [line] = vm.complaints(mesh=mesh)
    assert line.startswith("/etc/istio/config/mesh:5: defaultConfig.proxyMetadata.ISTIO_META_OWNER=")
    assert "half a character" in line


def test_half_a_character_in_an_annotation_is_refused() -> None:
    annotations = 'proxy.istio.io/config="\\ud800"\n'
    assert any("not UTF-8" in line for line in vm.complaints(annotations=annotations))


def test_a_name_in_any_script_is_sent_as_it_is() -> None:
    node = wiring.xds_node(vm.config(more="POD_NAME='münchen-東京-🜲'\n"))
    assert node.id.split("~")[2] == "münchen-東京-🜲.istio-demo"
