"""The xDS half of one VM: upstream, hub, relay and sockets as the daemon composes them, between a control
plane and whoever plays Envoy.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc

from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import NODE, PATIENCE, DeltaStream, Stream
from vmagent.envoy.bootstrap import EPOCH
from vmagent.errors import VmagentError
from vmagent.identity.certwatch import CertWatch
from vmagent.identity.credential import Credential, KeyPair
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.trust import Roots
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.sds.files import FileSecrets
from vmagent.sds.server import SdsServer
from vmagent.sockets import EnvoySockets
from vmagent.xds import node
from vmagent.xds.housekeeping import Housekeeping
from vmagent.xds.hub import Hub
from vmagent.xds.relay import Relay
from vmagent.xds.shelf import Shelf
from vmagent.xds.upstream import Authentication, Upstream, UpstreamConfig

NODE_ID = "sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local"
ISTIOD = "istiod.istio-system.svc"
UNLIMITED = (("grpc.max_receive_message_length", -1),)
"""As Envoy, which takes any size."""

SOON = 0.01
"""Seconds between two looks of ``until``."""


async def until(fact: Callable[[], object], *, within: float = PATIENCE) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not fact():  # noqa: ASYNC110  # any fact may be asked for
            await asyncio.sleep(SOON)


@dataclass
class Machine:
    """``token``, ``pair`` and ``roots`` are looked at afresh for each attempt, as the daemon does."""

    folder: Path
    port: int
    roots: Roots
    token: str = ""
    pair: KeyPair | None = None
    server_name: str = ISTIOD
    doubt: str = ""
    tls: bool = True
    delta: bool = False
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.said: list[str] = []
        self.attempts = 0
        self.hub = Hub(name_tables=True)
        self.shelf = Shelf(self.folder)
        self.credentials: Latest[Credential] = Latest()
        self.files = CertWatch(clock=SystemClock())
        self.secrets = FileSecrets(self.files, base=self.folder)
        self.upstream = Upstream(
            UpstreamConfig(
                endpoint=Endpoint(host="127.0.0.1", port=self.port, server_name=self.server_name),
                headers=(("clusterid", "Kubernetes"),),
                delta=self.delta,
            ),
            self.hub,
            node.build(node_id=NODE_ID, cluster="nginx", locality="", metadata=self.metadata or NODE),
            authenticate=self._authenticate,
            trouble=self._trouble,
            clock=SystemClock(),
        )

    @property
    def socket(self) -> Path:
        """Where vmagent's bootstrap expects it below ``folder``."""
        return self.folder / "proxy" / "XDS"

    @property
    def last(self) -> str:
        return self.said[-1] if self.said else ""

    def _authenticate(self) -> Authentication:
        self.attempts += 1
        roots = self.roots if self.tls else None
        return Authentication(roots=roots, token=self.token, pair=self.pair, doubt=self.doubt)

    def _trouble(self, problem: VmagentError | None) -> None:
        why = f"{problem} ({problem.hint})" if problem and problem.hint else str(problem or "")
        if why != self.last:
            self.said.append(why)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Machine"]:
        served = {
            self.socket: Relay(self.hub, self.socket, epoch=EPOCH).handler(),
            self.folder / "sds": SdsServer(self.credentials, self.secrets, clock=SystemClock()).handler(),
        }
        sockets = EnvoySockets(served, print)
        async with Tasks() as tasks:
            running = [
                tasks.start("xds", self.upstream.run()),
                tasks.start("files", self.files.run()),
                tasks.start("sockets", sockets.run()),
                tasks.start("housekeeping", Housekeeping(self.hub, self.shelf, clock=SystemClock()).run()),
            ]
            try:
                await until(self.socket.exists)
                yield self
            finally:
                await sockets.drain()
                await self.upstream.drain()
                for task in running:
                    task.cancel()

    @contextlib.asynccontextmanager
    async def envoy(self, *extensions: str) -> AsyncIterator[Stream]:
        """A client that speaks as Envoy does, with the public stubs; it says what it has compiled in."""
        async with self._ads() as stub:
            yield Stream(call=stub.StreamAggregatedResources(), first_node=_node(extensions))

    @contextlib.asynccontextmanager
    async def delta_envoy(self, *extensions: str, epoch: int | None = None) -> AsyncIterator[DeltaStream]:
        """The same, incrementally; it may tell its restart epoch."""
        me = _node(extensions)
        if epoch is not None:
            me.metadata[EPOCH] = str(epoch)
        async with self._ads() as stub:
            yield DeltaStream(call=stub.DeltaAggregatedResources(), first_node=me)

    @contextlib.asynccontextmanager
    async def _ads(self) -> AsyncIterator[Any]:
        """Calls are cancelled at the end, by closing the channel."""
        async with grpc.aio.insecure_channel(f"unix:{self.socket}", UNLIMITED) as channel:
            yield ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)


def _node(extensions: tuple[str, ...]) -> base_pb2.Node:
    me = base_pb2.Node(id=NODE_ID, user_agent_name="envoy")
    for name in extensions:
        me.extensions.add(name=name)
    return me


def machine(control_plane: ControlPlane, folder: Path, **changes: Any) -> Machine:
    """With the right root and a valid token unless told otherwise."""
    given: dict[str, Any] = {
        "folder": folder,
        "port": control_plane.listening.port,
        "roots": Roots(pem=control_plane.root_pem, path=Path("/etc/certs/root-cert.pem")),
        "token": control_plane.issue_token("istio-demo", "vm"),
    }
    return Machine(**(given | changes))
