"""The readiness probe of the mesh file."""

import pytest

from vmagent.config.model import Exec, Grpc, HttpGet, Json, Probe, TcpSocket
from vmagent.config.probe import probe
from vmagent.config.schema import Wrong

from . import vm


@pytest.mark.parametrize(
    ("document", "method"),
    [
        ({"httpGet": {"port": 80}}, HttpGet(port=80)),
        (
            {
                "httpGet": {
                    "port": 8443,
                    "path": "/ready?x=1",
                    "host": "127.0.0.1",
                    "scheme": "HTTPS",
                    "httpHeaders": [{"name": "Host", "value": "app"}, {"name": "X-A", "value": ""}],
                }
            },
            HttpGet(
                port=8443,
                path="/ready?x=1",
                host="127.0.0.1",
                scheme="https",
                headers=(("Host", "app"), ("X-A", "")),
            ),
        ),
        ({"tcpSocket": {"port": 3306, "host": "db"}}, TcpSocket(port=3306, host="db")),
        ({"exec": {"command": ["/bin/true", "-x"]}}, Exec(command=("/bin/true", "-x"))),
        ({"grpc": {"port": 9000, "service": "s"}}, Grpc(port=9000, service="s")),
    ],
)
def test_each_method_becomes_its_type(document: dict[str, Json], method: object) -> None:
    assert probe(document, "10.0.0.1").method == method


def test_absent_and_zero_mean_the_defaults_of_the_api() -> None:
    plain = probe({"httpGet": {"port": 80}}, "10.0.0.1")
    zeros = {"timeoutSeconds": 0, "periodSeconds": 0, "successThreshold": 0, "failureThreshold": 0}
    assert plain == probe({"httpGet": {"port": 80}, **zeros}, "10.0.0.1")
    assert plain == Probe(
        method=HttpGet(port=80, path="/"),
        default_host="10.0.0.1",
        initial_delay=0,
        timeout=1,
        period=10,
        success_threshold=1,
        failure_threshold=3,
    )


def test_every_number_is_taken() -> None:
    document: dict[str, Json] = {
        "tcpSocket": {"port": 1},
        "initialDelaySeconds": 2,
        "timeoutSeconds": 3,
        "periodSeconds": 4,
        "successThreshold": 5,
        "failureThreshold": 6,
    }
    found = probe(document, "h")
    assert (found.initial_delay, found.timeout, found.period) == (2, 3, 4)
    assert (found.success_threshold, found.failure_threshold) == (5, 6)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "has no method"),
        ({"periodSeconds": 1}, "has no method"),
        ({"httpGet": {"port": 1}, "exec": {"command": ["x"]}}, "has httpGet and exec"),
        ({"httpGet": {}}, "httpGet has no port"),
        ({"tcpSocket": {"host": "x"}}, "tcpSocket has no port"),
        ({"grpc": {}}, "grpc has no port"),
        ({"exec": {}}, "exec has no command"),
        ({"exec": {"command": []}}, "exec has no command"),
        ({"exec": {"command": [""]}}, "exec has no command"),
        ({"httpGet": {"port": 1, "scheme": "ftp"}}, "httpGet has the scheme 'ftp'"),
        ({"httpGet": {"port": 1, "httpHeaders": [{"value": "x"}]}}, "'' is not a header"),
        ({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b"}]}}, "'a b' is not a header"),
        (
            {"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "x\r\ny"}]}},
            "the value of header a cannot be sent",
        ),
        (
            {"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "\x01"}]}},
            "the value of header a cannot be sent",
        ),
        ({"httpGet": {"port": 1, "host": "a b"}}, "httpGet has the host 'a b'"),
        ({"httpGet": {"port": 1, "path": "/a\nb"}}, "httpGet has the path '/a\\nb'"),
        ({"tcpSocket": {"port": 1, "host": "a..b"}}, "tcpSocket has the host 'a..b'"),
        ({"tcpSocket": {"port": 1, "host": ".x"}}, "tcpSocket has the host '.x'"),
        ({"tcpSocket": {"port": 1, "host": "a\0b"}}, "tcpSocket has the host 'a\\x00b'"),
        ({"tcpSocket": {"port": 1, "host": "x" * 64}}, f"tcpSocket has the host '{'x' * 64}'"),
    ],
)
def test_a_probe_that_could_not_run_is_refused(document: dict[str, Json], says: str) -> None:
    with pytest.raises(Wrong) as refused:
        probe(document, "10.0.0.1")
    assert str(refused.value) == says
    assert refused.value.remedy


def test_the_probe_goes_to_the_machines_own_address() -> None:
    found = vm.config().probe
    assert found == Probe(method=HttpGet(port=80), default_host="192.168.0.204")


def test_an_external_address_is_probed_through_localhost() -> None:
    found = vm.config(more="REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION='true'\n").probe
    assert found is not None
    assert found.default_host == "localhost"


def test_a_mesh_file_without_a_probe_means_none() -> None:
    assert vm.config(mesh="defaultConfig: {}\n").probe is None


def test_a_bad_probe_is_told_with_file_and_line() -> None:
    assert vm.complaints(mesh="defaultConfig:\n  meshId: m\n  readinessProbe:\n    periodSeconds: 2\n") == [
        f"{vm.MESH_PATH}:3: defaultConfig.readinessProbe: has no method; "
        "give exactly one of httpGet, tcpSocket, exec, grpc"
    ]
    assert vm.complaints(mesh="defaultConfig:\n  readinessProbe:\n    httpGet: {port: 0}\n") == [
        f"{vm.MESH_PATH}:3: defaultConfig.readinessProbe.httpGet.port='0': out of range; "
        "write a number, 1 to 65535"
    ]
