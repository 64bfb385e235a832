"""The control plane as one thing that can be started, looked at, misled and stopped.

Owns:      composition: the only module that knows every part. Also the handles that tests and the demo use.
Surprise:  it can be started again after a stop, on the same ports and with the same state, as an istiod
           that was rolled out anew.
"""

import asyncio
import contextlib
import datetime
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final

from lab.controlplane.accounts import account_problem
from lab.controlplane.ads import AdsService
from lab.controlplane.api import Api, failure
from lab.controlplane.authentication import Authenticator
from lab.controlplane.authority import Authority, load_key
from lab.controlplane.background import Background
from lab.controlplane.builder import Builder
from lab.controlplane.builtins import Builtins
from lab.controlplane.certificates import CertificateService, Lifetimes
from lab.controlplane.connection import Connection
from lab.controlplane.documents import Document
from lab.controlplane.fault_api import FaultApi
from lab.controlplane.faults import Faults
from lab.controlplane.front import Patience, Peer, TlsFront
from lab.controlplane.http import HttpServer
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.mesh_config import MeshConfig
from lab.controlplane.misbehaviour import Misbehaviour
from lab.controlplane.monitoring import Monitor
from lab.controlplane.page import Page
from lab.controlplane.pilot_metrics import PilotMetrics
from lab.controlplane.ports import Listening, Ports, plaintext_server
from lab.controlplane.proxy import Proxy
from lab.controlplane.push import Debounce, publish
from lab.controlplane.records import Records
from lab.controlplane.registrar import Registrar
from lab.controlplane.registry import Key, World
from lab.controlplane.resource_files import ResourceFiles
from lab.controlplane.serving import Serving
from lab.controlplane.settings import Endpoint, Settings
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.snapshots import Snapshots
from lab.controlplane.spoil import spoiled
from lab.controlplane.store import Store
from lab.controlplane.syncz import syncz
from lab.controlplane.timestamps import SECOND
from lab.controlplane.tokens import ServiceAccount, TokenIssuer

log = logging.getLogger("controlplane")

_LOOK: Final = 0.01
"""Seconds between two looks of ``until``."""


class ControlPlane:
    def __init__(self, settings: Settings, *, now: Callable[[], int] = time.time_ns) -> None:
        """Makes or opens keys and state; listens from ``start`` on."""
        self.settings = settings
        self.faults = Faults()
        self._warned: frozenset[str] = frozenset()
        self._now = now
        for directory in (settings.resources, settings.state):
            directory.mkdir(parents=True, exist_ok=True)
        settings.state.chmod(0o700)
        self.authority = Authority.open(
            settings.state, trust_domain=settings.trust_domain, now=self._datetime()
        )
        self.issuer = TokenIssuer(load_key(settings.state / "token-key.pem"), settings.issuer)
        self._at = Listening(discovery=settings.listen, api=settings.api, monitoring=settings.monitoring)
        self._mesh = MeshConfig(settings)
        self._snapshots = Snapshots()

    # --- life

    async def start(self) -> None:
        """Returns when all ports listen; port 0 is chosen once and kept over later starts. Raises OSError
        when a port cannot be had; nothing is left open then."""
        self.store = Store(ResourceFiles(self.settings.resources), Records(self.settings.state), self._now)
        registrar = Registrar(self.settings, self.store, self._now)
        authenticator = self._authenticator()
        self.metrics = self._metrics()
        self._builder = Builder()
        self.ads = AdsService(
            authenticator=authenticator,
            registrar=registrar,
            build=self.snapshot,
            builder=self._builder,
            peer=self._peer,
            faults=self.faults,
            metrics=self.metrics,
            now=self._now,
            resource_versions=self.settings.resource_versions,
        )
        await self._listen(authenticator)
        self._background = Background()
        self._background.start("watch files", self.store.watch(self.settings.poll))
        self._background.start("push", publish(self.store, self.ads, self._debounce(), self.metrics))
        self._background.start("clean up entries", registrar.clean_up())
        self._background.start("faults", self._misbehaviour.follow())
        at = self._at
        log.info("serving\tdiscovery=%s\tapi=%s\tmonitoring=%s", at.discovery, at.api, at.monitoring)

    async def stop(self) -> None:
        """Streams end at once. State stays on disk; entries of connected machines stay as they are."""
        self.ads.closing = True
        await self._ports.close()
        self._builder.stop()
        await self._background.stop()

    @property
    def crashed(self) -> asyncio.Event:
        """Set when a task of ours died; ``stop`` then raises what it died of."""
        return self._background.crashed

    # --- what others need in order to connect

    @property
    def listening(self) -> Endpoint:
        """ADS and CA."""
        return self._at.discovery

    @property
    def api_listening(self) -> Endpoint:
        return self._at.api

    @property
    def monitoring_listening(self) -> Endpoint:
        return self._at.monitoring

    @property
    def root_pem(self) -> bytes:
        return self.authority.root_pem

    def issue_token(
        self, namespace: str, account: str, *, ttl: int = 3600, audience: str | None = None, age: int = 0
    ) -> str:
        """``ttl`` in seconds; ``age`` is how many seconds ago it was issued. Nothing checks that the
        account exists."""
        now = self._now() // SECOND - age
        audiences = (audience if audience is not None else self.settings.audience,)
        return self.issuer.issue(ServiceAccount(namespace, account), audiences=audiences, ttl=ttl, now=now)

    # --- what others may change

    def apply(self, text: str) -> list[Key]:
        """YAML documents, live when this returns. Raises BadDocument, and then changes nothing."""
        return self.store.apply(text)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Raises NotThere."""
        self.store.delete((kind, namespace, name))

    def drop_connections(self) -> None:
        """Every connection to the TLS port breaks; clients may come back at once."""
        self._front.drop_connections()

    async def misbehave(self, **faults: Any) -> None:
        """In force when this returns. The names are those of ``Faults``."""
        for name, value in faults.items():
            setattr(self.faults, name, value)
        await self._misbehaviour.act()

    # --- what others may see

    @property
    def world(self) -> World:
        return self.store.world

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple(self.ads.connections.values())

    def document(self, kind: str, namespace: str, name: str) -> Document:
        """Raises NotThere."""
        return self.store.document((kind, namespace, name))

    def snapshot(self, proxy: Proxy) -> Snapshot:
        """What this proxy would be told now."""
        world = self.store.world
        snapshot = spoiled(self._snapshots.of(world, proxy, self._mesh.current(world)), self.faults)
        for warning in snapshot.warnings:
            if warning not in self._warned:
                log.warning("%s", warning)
        self._warned = frozenset(snapshot.warnings)
        return snapshot

    async def until(self, fact: Callable[["ControlPlane"], object], *, timeout: float = 5.0) -> None:
        """Waits for something to become true of this control plane. ``timeout`` in seconds; raises
        TimeoutError."""
        async with asyncio.timeout(timeout):
            while not fact(self):  # noqa: ASYNC110  # any fact may be asked for
                await asyncio.sleep(_LOOK)

    # --- inside

    async def _listen(self, authenticator: Authenticator) -> None:
        settings = self.settings
        certificates = CertificateService(
            authority=self.authority,
            authenticator=authenticator,
            lifetimes=Lifetimes(default=settings.default_certificate_ttl, most=settings.max_certificate_ttl),
            faults=self.faults,
            peer=self._peer,
            now=self._now,
        )
        wire, inner_port = plaintext_server(
            (self.ads.handler(), certificates.handler()), max_connection_age=settings.max_connection_age
        )
        serving = Serving(
            authority=self.authority,
            state=settings.state,
            names=settings.extra_names,
            now=self._datetime,
        )
        patience = Patience(interval=settings.keepalive_interval, timeout=settings.keepalive_timeout)
        self._front = TlsFront(serving.context(), inner_port, patience)
        self._misbehaviour = Misbehaviour(self.faults, self._front, serving.context, self.ads.refresh)
        self._ports = Ports(
            wire=wire,
            front=self._front,
            api=HttpServer(self._kubernetes().handle, failure),
            monitoring=HttpServer(self._monitor().handle, failure),
        )
        self._at = await self._ports.open(self._at)

    def _authenticator(self) -> Authenticator:
        return Authenticator(
            issuer=self.issuer,
            audience=self.settings.audience,
            trust_domain=lambda: self._mesh.current(self.store.world).trust_domain,
            exists=lambda account: account_problem(self.store.world, account),
            now=self._now,
            faults=self.faults,
        )

    def _kubernetes(self) -> Api:
        return Api(
            store=self.store,
            builtins=Builtins(
                root_pem=self.root_pem.decode(),
                trust_domain=self.settings.trust_domain,
                cluster_id=self.settings.cluster_id,
            ),
            allocation=self.settings.allocation,
            issuer=self.issuer,
            audience=self.settings.issuer,
            syncz=lambda: syncz(self.connections),
            faults=FaultApi(faults=self.faults, drop_connections=self.drop_connections),
            now=self._now,
        )

    def _monitor(self) -> Monitor:
        page = Page(lambda: self.world, self._mesh.current, lambda: self.connections)
        return Monitor(metrics=self.metrics, syncz=lambda: syncz(self.connections), page=page)

    def _metrics(self) -> PilotMetrics:
        def services() -> int:
            return sum(len(entry.hosts) for entry in self.store.world.all(ServiceEntry))

        return PilotMetrics(
            versions=lambda: Counter(each.proxy.istio_version for each in self.connections),
            services=services,
        )

    def _debounce(self) -> Debounce:
        given = self.settings
        return Debounce(after=given.debounce, longest=given.debounce_most, endpoints=given.debounce_endpoints)

    def _peer(self, inner: str) -> Peer | None:
        return self._front.peer(inner)

    def _datetime(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._now() / SECOND, datetime.UTC)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[ControlPlane]:
    """A control plane that serves inside the block. Port 0 in the settings lets the kernel choose."""
    control_plane = ControlPlane(settings)
    await control_plane.start()
    try:
        yield control_plane
    finally:
        await control_plane.stop()


def on_any_port(settings: Settings) -> Settings:
    """The same on loopback, on ports that the kernel chooses: for tests."""
    anywhere = Endpoint("127.0.0.1", 0)
    return replace(settings, listen=anywhere, api=anywhere, monitoring=anywhere)
