"""The mesh file: what it may say, and what an operator is told when it may not."""

import pytest

from vmagent.config import meshfile
from vmagent.config.meshfile import MeshFile
from vmagent.config.proxyconfig import MESH_CONFIG, PROXY_CONFIG

PATH = "/etc/istio/config/mesh"


def read(text: str, *, bare: bool = False) -> MeshFile:
    return meshfile.parse(text.encode(), PATH, bare=bare)


def only(text: str) -> str:
    (problem,) = read(text).problems
    return str(problem)


def test_a_mesh_config_and_a_bare_proxy_config_say_the_same() -> None:
    whole = read("defaultConfig:\n  statusPort: 15555\n")
    bare = read("statusPort: 15555\n")
    assert whole.proxy_config == bare.proxy_config == {"statusPort": 15555}
    assert whole.lines == {"statusPort": 2}
    assert bare.lines == {"statusPort": 1}


def test_no_field_could_make_the_two_kinds_of_document_look_alike() -> None:
    assert PROXY_CONFIG.fields.keys() & MESH_CONFIG.fields.keys() == {"statNameLength"}


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "{}", "defaultConfig:\n", "defaultConfig: {}\n", "null"]
)
def test_an_empty_document_says_nothing(text: str) -> None:
    found = read(text)
    assert (dict(found.proxy_config), found.problems, found.unknown) == ({}, (), ())


def test_both_spellings_of_a_name_are_one_field() -> None:
    found = read("default_config:\n  drain_duration: 30s\n  discoveryAddress: istiod.example.com:15012\n")
    assert found.proxy_config == {"drainDuration": "30s", "discoveryAddress": "istiod.example.com:15012"}
    assert found.lines["drainDuration"] == 2


def test_enums_come_by_name_or_number_and_numbers_may_stand_in_quotes() -> None:
    found = read("controlPlaneAuthPolicy: 1\ninterceptionMode: TPROXY\nstatusPort: '15555'\n")
    assert found.proxy_config == {
        "controlPlaneAuthPolicy": "MUTUAL_TLS",
        "interceptionMode": "TPROXY",
        "statusPort": 15555,
    }


def test_null_leaves_a_field_alone() -> None:
    assert read("statusPort: null\nmeshId:\n").proxy_config == {}


def test_json_is_yaml() -> None:
    assert read('{"defaultConfig": {"meshId": "m"}}').proxy_config == {"meshId": "m"}


def test_windows_line_ends_do_no_harm_in_yaml() -> None:
    assert read("defaultConfig:\r\n  meshId: m\r\n").proxy_config == {"meshId": "m"}


def test_what_concerns_istiod_alone_is_known_and_not_looked_into() -> None:
    found = read(
        "outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\nextensionProviders: [{name: x}]\ntrustDomain: td1\n"
    )
    assert (found.problems, found.unknown, found.trust_domain) == ((), (), "td1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "defaultConfig:\n  statusPort: fifteen\n",
            f"{PATH}:2: defaultConfig.statusPort='fifteen': expected a whole number, found text; write a",
        ),
        ("defaultConfig:\n  statusPort: 99999\n", "defaultConfig.statusPort='99999': out of range"),
        ("defaultConfig:\n  statusPort: true\n", "expected a whole number, found a boolean"),
        (
            "defaultConfig:\n  drainDuration: 45\n",
            "expected a duration, found a number; write seconds with an s",
        ),
        ("defaultConfig:\n  drainDuration: 1m\n", "write seconds with an s, as in 45s"),
        (
            "defaultConfig:\n  proxyMetadata:\n    ISTIO_META_DNS_CAPTURE: true\n",
            f"{PATH}:3: defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE='true': "
            "expected text, found a boolean; write it in quotes",
        ),
        ("defaultConfig:\n  proxyMetadata: [a]\n", "expected keys with values, found a list"),
        ("defaultConfig: [a]\n", "expected keys with values, found a list"),
        ("[a]\n", "expected keys with values, found a list"),
        ("hello\n", "expected keys with values, found text"),
        ("defaultConfig:\n  controlPlaneAuthPolicy: TLS\n", "no such choice; write one of NONE, MUTUAL_TLS"),
        ("defaultConfig:\n  controlPlaneAuthPolicy: 1000\n", "no such choice"),
        (
            "defaultConfig:\n  discoveryAddress: istiod\n",
            "write HOST:PORT, as in istiod.istio-system.svc:15012",
        ),
        ("defaultConfig:\n  holdApplicationUntilProxyStarts: 'yes'\n", "write true or false without quotes"),
        ("defaultConfig:\n  extraStatTags: x\n", "expected a list, found text"),
        ("defaultConfig:\n  tracing:\n    sampling: lots\n", "expected a number"),
        ("defaultConfig:\n  meshId: 7\n", "write it in quotes"),
        ("defaultConfig:\n  meshId: [a]\n", "expected text, found a list"),
        (
            "defaultConfig:\n  statusPort: 1\n  status_port: 2\n",
            f"{PATH}:3: defaultConfig.status_port='2': set twice",
        ),
    ],
)
def test_a_wrong_type_is_an_error_with_file_line_key_value_and_remedy(text: str, says: str) -> None:
    assert says in only(text)
    assert only(text).startswith(f"{PATH}:")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "defaultConfig:\n\tmeshId: m\n",
            f"{PATH}:2: meshId='m': a tab in the indentation; indent with spaces: expand -i -t2 {PATH}",
        ),
        ("defaultConfig:\n  meshId: 'm\n", "not YAML"),
        ("defaultConfig: {meshId: m\n", "not YAML"),
        ("defaultConfig:\n  meshId: m\n statusPort: 1\n", f"{PATH}:3: statusPort='1': not YAML"),
        ("defaultConfig:\n  meshId: a: b\n", f"{PATH}:2: meshId='a: b': not YAML"),
        ("meshId: a\nmeshId: b\n", f"{PATH}:2: meshId: meshId stands here twice; keep one"),
        ("meshId: a\n---\nmeshId: b\n", "2 YAML documents; keep one"),
        ("meshId: !secret x\n", "the tag !secret; write a plain value"),
        ("? [a]\n: b\n", "a key that is not a word"),
        ("meshId: \x07\n", "is not allowed in YAML"),
        ("[" * 3000, "too deeply nested"),
        ("a: &a [*a]\n", "too large a document"),
        ("[" + "1," * 11000 + "]", "too large a document"),
    ],
)
def test_what_is_not_yaml_is_one_line_that_says_where(text: str, says: str) -> None:
    assert says in only(text)
    assert "\n" not in only(text)


def test_bytes_that_are_not_utf8_are_named() -> None:
    (problem,) = meshfile.parse(b"a: b\nc: \xff\n", PATH).problems
    assert str(problem) == f"{PATH}:2: byte 0xff is not UTF-8; save the file as UTF-8"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "defaultConfig:\n  discoverAddress: a:1\n",
            f"{PATH}:2: defaultConfig.discoverAddress='a:1': no such setting; did you mean discoveryAddress?",
        ),
        ("defaultConfig:\n  drain_durations: 1s\n", "did you mean drainDuration?"),
        ("defaultConfigs: {}\n", "did you mean defaultConfig?"),
        ("defaultConfig:\n  readinessProbe:\n    httpget: {port: 80}\n", "did you mean httpGet?"),
        ("defaultConfig:\n  qwertyuiop: 1\n", "remove it"),
    ],
)
def test_a_key_nobody_knows_is_reported_with_the_nearest_known_one(text: str, says: str) -> None:
    found = read(text)
    assert found.problems == ()
    (unknown,) = found.unknown
    assert says in str(unknown)


def test_a_secret_of_the_mesh_file_is_not_quoted() -> None:
    said = only("defaultConfig:\n  tracing:\n    lightstep:\n      accessToken: 12345\n")
    assert "accessToken=(hidden)" in said
    assert "12345" not in said


def test_every_prefix_of_a_document_is_read_or_refused_and_never_crashes() -> None:
    text = "defaultConfig:\n  tracing: {zipkin: {address: 'z:1'}}\n  proxyMetadata:\n    A: \"b\"\n  - x\n"
    for end in range(len(text)):
        read(text[:end])


def test_what_is_dumped_is_read_back_as_it_was() -> None:
    value = meshfile.load(b"a: 'true'\nb: '1'\nc: {d: [x, '~']}\n", PATH).value
    assert meshfile.load(meshfile.dump(value).encode(), PATH).value == value
