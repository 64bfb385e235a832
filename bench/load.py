"""The lab's control plane under load, as a program of its own: how long until a proxy has a large mesh, and
until it hears of a change of one service.

Owns:      the mesh, the program, and a proxy that takes everything on an incremental stream.
Does not:  know medians or tables (__main__.py).
"""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from lab.controlplane import type_urls

CHANGES: Final = 7
PATIENCE: Final = 180.0
"""Seconds until everything counts as failed."""

_NAMESPACE: Final = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Seconds. From exec until a proxy has everything; from ``kubectl apply`` of one service until the proxy
    has what is new, the 100 ms included in which the control plane waits for more."""

    told: float
    endpoint: list[float]
    another: list[float]


def load(services: int) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        resources = Path(folder, "resources")
        resources.mkdir()
        mesh = "\n---\n".join(json.dumps(_service(number)) for number in range(services))
        (resources / "mesh.yaml").write_text(mesh)
        began = time.monotonic()
        with _control_plane(Path(folder)) as plane, plane.proxy() as proxy:
            proxy.take_everything()
            told = time.monotonic() - began
            endpoint = [plane.until_heard(proxy, _service(7, f"10.9.9.{each}")) for each in range(CHANGES)]
            another = [plane.until_heard(proxy, _service(services + each)) for each in range(CHANGES)]
    return Load(told=told, endpoint=endpoint, another=another)


def _service(number: int, address: str = "") -> dict[str, Any]:
    address = address or f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": f"service-{number}", "namespace": _NAMESPACE},
        "spec": {
            "hosts": [f"service-{number}.example"],
            "location": "MESH_INTERNAL",
            "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}],
            "resolution": "STATIC",
            "endpoints": [{"address": address, "serviceAccount": "default"}],
        },
    }


@contextlib.contextmanager
def _control_plane(folder: Path) -> Iterator["_Plane"]:
    ports = _free_ports()
    where = {
        name: f"127.0.0.1:{port}" for name, port in zip(("listen", "api", "monitoring"), ports, strict=True)
    }
    command = [sys.executable, "-m", "lab.controlplane", "--log-level", "warn"]
    command += [f"--resources={folder}/resources", f"--state={folder}/state"]
    command += [f"--{name}={at}" for name, at in where.items()]
    process = subprocess.Popen(command)
    try:
        yield _Plane(state=folder / "state", discovery=where["listen"], api=where["api"])
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait()


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return [each.getsockname()[1] for each in sockets]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    state: Path
    discovery: str
    api: str

    @contextlib.contextmanager
    def proxy(self) -> Iterator["_Proxy"]:
        path = f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts/default/token"
        answer = self._ask("POST", path, {"spec": {"audiences": ["istio-ca"]}}, patient=True)
        root = (self.state / "root-cert.pem").read_bytes()
        options = (
            ("grpc.ssl_target_name_override", "istiod.istio-system.svc"),
            ("grpc.max_receive_message_length", -1),
        )
        with grpc.secure_channel(self.discovery, grpc.ssl_channel_credentials(root), options) as channel:
            grpc.channel_ready_future(channel).result(PATIENCE)
            yield _Proxy(channel, answer["status"]["token"])

    def until_heard(self, proxy: "_Proxy", service: dict[str, Any]) -> float:
        collection = f"/apis/networking.istio.io/v1/namespaces/{_NAMESPACE}/serviceentries"
        name = service["metadata"]["name"]
        began = time.monotonic()
        if proxy.knows(name):
            self._ask("PUT", f"{collection}/{name}", service)
        else:
            self._ask("POST", collection, service)
        return proxy.take_news(of=name) - began

    def _ask(self, method: str, path: str, body: dict[str, Any], *, patient: bool = False) -> Any:
        request = urllib.request.Request(f"http://{self.api}{path}", json.dumps(body).encode(), method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with opener.open(request, timeout=PATIENCE) as answer:
                    return json.load(answer)
            except urllib.error.URLError as why:
                if not (patient and isinstance(why.reason, ConnectionRefusedError)):
                    raise
                time.sleep(0.01)


@dataclass(slots=True)
class _Proxy:
    """Acknowledges everything, and subscribes to the endpoints of every cluster, as Envoy does."""

    channel: grpc.Channel
    token: str
    _requests: "queue.SimpleQueue[discovery_pb2.DeltaDiscoveryRequest]" = field(
        default_factory=queue.SimpleQueue
    )
    _known: set[str] = field(default_factory=set)
    _responses: Any = None

    def take_everything(self) -> None:
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(self.channel)
        metadata = (("authorization", f"Bearer {self.token}"),)
        self._responses = stub.DeltaAggregatedResources(
            iter(self._requests.get, None), metadata=metadata, timeout=PATIENCE
        )
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=type_urls.CLUSTER)
        first.node.id = f"sidecar~10.255.0.1~bench.{_NAMESPACE}~{_NAMESPACE}.svc.cluster.local"
        first.node.metadata.update(
            {"NAMESPACE": _NAMESPACE, "SERVICE_ACCOUNT": "default", "DNS_CAPTURE": "true"}
        )
        self._requests.put(first)
        self._take()
        self._ask(type_urls.ENDPOINT, *self._known)
        self._ask(type_urls.LISTENER)
        self._ask(type_urls.ROUTE, "80")
        self._ask(type_urls.NAME_TABLE)
        for _ in range(4):
            self._take()

    def knows(self, name: str) -> bool:
        return any(f"|{name}." in each for each in self._known)

    def take_news(self, *, of: str) -> float:
        """When the last of what is new about this service was here: an assignment, and with a new one its
        cluster, the route table of its port and the names."""
        missing = {type_urls.ENDPOINT}
        if not self.knows(of):
            missing |= {type_urls.CLUSTER, type_urls.ROUTE, type_urls.NAME_TABLE}
        while missing:
            response = self._take()
            missing.discard(response.type_url)
            if response.type_url == type_urls.CLUSTER:
                self._ask(type_urls.ENDPOINT, *(each.name for each in response.resources))
        return time.monotonic()

    def _ask(self, type_url: str, *names: str) -> None:
        self._requests.put(
            discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names)
        )

    def _take(self) -> discovery_pb2.DeltaDiscoveryResponse:
        response = next(self._responses)
        if response.type_url == type_urls.CLUSTER:
            self._known |= {each.name for each in response.resources if each.name.startswith("outbound|")}
        self._requests.put(
            discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        )
        return response
