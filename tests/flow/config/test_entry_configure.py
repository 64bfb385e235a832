"""``entry configure`` against the Kubernetes API that ``kubectl proxy`` would serve."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.config.test_pem import WHOLE
from tests.unit.config.test_workload import GROUP, MESH
from vmagent.cli.entry import entry
from vmagent.errors import Misconfigured, Refused, Unavailable

TOKEN = "eyJh.eyJz.c2ln"
CONFIG_MAPS = {
    "/api/v1/namespaces/istio-system/configmaps/istio": {"mesh": MESH},
    "/api/v1/namespaces/istio-demo/configmaps/istio-ca-root-cert": {"root-cert.pem": WHOLE.decode()},
    "/api/v1/namespaces/istio-system/configmaps/istio-sidecar-injector": {
        "values": json.dumps({"global": {"multiCluster": {"clusterName": "asked"}}})
    },
}


class Api(http.server.ThreadingHTTPServer):
    """Three kinds of object; ``answers`` overrides what a path gets: a status, or a body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, int | bytes] = {}
        self.asked: list[tuple[str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: object) -> None:
        self.server.asked.append((self.path, body))
        override = self.server.answers.get(self.path)
        if isinstance(override, int):
            self.send_error(override)
            return
        found: dict[str, object] | None = None
        if self.path in CONFIG_MAPS and body is None:
            found = {"kind": "ConfigMap", "data": CONFIG_MAPS[self.path]}
        elif self.path == "/api/v1/namespaces/istio-demo/serviceaccounts/vm/token" and body is not None:
            found = {"kind": "TokenRequest", "status": {"token": TOKEN}}
        if found is None and override is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(override if override is not None else json.dumps(found).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def configure(api: Api, directory: Path, *options: str) -> Result:
    (directory / "workloadgroup.yaml").write_text(GROUP)
    words = [
        f"--file={directory / 'workloadgroup.yaml'}",
        f"--output={directory / 'vm'}",
        f"--server={api.url}",
    ]
    return CliRunner().invoke(entry, ["configure", *words, *options])


def test_everything_is_asked_of_the_mesh(api: Api, tmp_path: Path) -> None:
    done = configure(api, tmp_path, "--clusterID=Kubernetes", "--ingressIP=192.168.0.59", "--autoregister")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "vm/istio-token").read_text() == TOKEN
    assert (tmp_path / "vm/root-cert.pem").read_bytes() == WHOLE
    assert "discoveryAddress: istiod.istio-system.svc:15012" in (tmp_path / "vm/mesh.yaml").read_text()
    assert (tmp_path / "vm/hosts").read_text() == "192.168.0.59 istiod.istio-system.svc\n"
    assert TOKEN not in done.output
    path, asked = api.asked[-1]
    assert path == "/api/v1/namespaces/istio-demo/serviceaccounts/vm/token"
    assert asked == {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600},
    }


def test_the_cluster_is_asked_for_if_it_is_not_given(api: Api, tmp_path: Path) -> None:
    assert configure(api, tmp_path, "--tokenDuration=7200").exit_code == 0
    assert "ISTIO_META_CLUSTER_ID='asked'" in (tmp_path / "vm/cluster.env").read_text()
    asked = dict(api.asked)["/api/v1/namespaces/istio-demo/serviceaccounts/vm/token"]
    assert isinstance(asked, dict)
    assert asked["spec"]["expirationSeconds"] == 7200


@pytest.mark.parametrize(
    ("path", "answer", "kind", "says"),
    [
        (
            "istio-system/configmaps/istio",
            404,
            Misconfigured,
            "has no namespaces/istio-system/configmaps/istio",
        ),
        (
            "istio-system/configmaps/istio",
            403,
            Refused,
            "refuses namespaces/istio-system/configmaps/istio (403)",
        ),
        ("istio-system/configmaps/istio", 503, Unavailable, "answers 503"),
        ("istio-system/configmaps/istio", b"<html>", Misconfigured, "is not a Kubernetes API"),
        ("istio-system/configmaps/istio", b"{}", Misconfigured, "configmap istio-system/istio at"),
        (
            "istio-system/configmaps/istio",
            b'{"data":{"mesh":"a: ["}}',
            Misconfigured,
            "configmap istio-system/istio:1",
        ),
        ("istio-demo/configmaps/istio-ca-root-cert", 404, Misconfigured, "istio-ca-root-cert"),
        (
            "istio-demo/configmaps/istio-ca-root-cert",
            b'{"data":{"root-cert.pem":"x"}}',
            Misconfigured,
            "configmap istio-demo/istio-ca-root-cert:1: holds no PEM certificate",
        ),
        ("istio-demo/serviceaccounts/vm/token", 404, Misconfigured, "serviceaccounts/vm/token"),
        ("istio-demo/serviceaccounts/vm/token", b'{"status":{}}', Refused, "answered without a token"),
    ],
)
def test_a_refusal_is_told_apart_and_writes_nothing(
    api: Api, tmp_path: Path, path: str, answer: int | bytes, kind: type[Exception], says: str
) -> None:
    api.answers[f"/api/v1/namespaces/{path}"] = answer
    done = configure(api, tmp_path, "--clusterID=Kubernetes")
    assert type(done.exception) is kind
    assert says in str(done.exception)
    assert not (tmp_path / "vm").exists()


def test_an_injector_that_names_no_cluster_asks_for_the_option(api: Api, tmp_path: Path) -> None:
    api.answers["/api/v1/namespaces/istio-system/configmaps/istio-sidecar-injector"] = (
        b'{"data":{"values":"{}"}}'
    )
    done = configure(api, tmp_path)
    assert isinstance(done.exception, Misconfigured)
    assert done.exception.hint == "give --clusterID"


def test_nobody_there_is_waiting_for_somebody(tmp_path: Path) -> None:
    with Api() as gone:
        pass
    done = configure(gone, tmp_path, "--clusterID=Kubernetes")
    assert isinstance(done.exception, Unavailable)
    assert "does not answer: Connection refused" in str(done.exception)
    assert "kubectl proxy" in done.exception.hint
