import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.authority import service_account_jwt
from tests.flow.identity.certificate_server import SERVER_NAME, CertificateServer
from vmagent.identity.certwatch import CertWatch
from vmagent.identity.config import IdentityConfig
from vmagent.identity.credential import Credential
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.introduction import Introduction
from vmagent.identity.keeper import Gate, Keeper
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks

VM = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")


@dataclass
class Machine:
    """One VM's files, and what its keeper has said."""

    config: IdentityConfig
    said: list[str] = field(default_factory=list)
    credentials: Latest[Credential] = field(default_factory=Latest)
    clock: SystemClock = field(default_factory=SystemClock)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def token(self) -> Path:
        return self.config.token

    @property
    def root(self) -> Path:
        assert self.config.root_cert is not None
        return self.config.root_cert

    @property
    def certs(self) -> Path:
        assert self.config.output_dir is not None
        return self.config.output_dir

    def parts(self) -> tuple[Keeper, CertWatch]:
        gate = Gate(open=lambda: self._note("open"), close=self._note)
        files, clock = CertWatch(clock=SystemClock()), self.clock
        introduction = Introduction(self.config, self.credentials, files, clock=clock)
        return Keeper(self.config, self.credentials, gate, introduction, clock=clock), files

    def _note(self, what: str) -> None:
        self.said.append(what)
        self._news.set()
        self._news = asyncio.Event()

    async def until_said(self, words: str, *, within: float = 5.0) -> str:
        async with asyncio.timeout(within):
            while not (self.said and words in self.said[-1]):
                await self._news.wait()
        return self.said[-1]

    async def until_renewed(self, *, within: float = 5.0) -> Credential:
        """The credential after the current one."""
        async with asyncio.timeout(within):
            current = self.credentials.value
            async for credential in self.credentials.changes():
                if credential is not current:
                    return credential
        raise AssertionError("changes() never ends")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Keeper]:
        keeper, files = self.parts()
        async with Tasks() as tasks:
            running = [tasks.start("identity", keeper.run()), tasks.start("files", files.run())]
            yield keeper
            await keeper.drain()
            for task in running:
                task.cancel()

    def restarted(self) -> "Machine":
        """The same files, a new process."""
        return Machine(self.config)

    def configured(self, **changes: object) -> "Machine":
        return Machine(replace(self.config, **changes))  # type: ignore[arg-type]  # replace() checks


@pytest.fixture
async def ca() -> AsyncIterator[CertificateServer]:
    server = CertificateServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def machine(ca: CertificateServer, tmp_path: Path) -> Machine:
    """As the operator leaves it: a root and a token."""
    certs = tmp_path / "certs"
    certs.mkdir(mode=0o700)
    (certs / "root-cert.pem").write_bytes(ca.authority.root_pem)
    token = tmp_path / "istio-token"
    token.write_text(service_account_jwt() + "\n")
    return Machine(
        IdentityConfig(
            spiffe=VM,
            token=token,
            ca=Endpoint(host="127.0.0.1", port=ca.port, server_name=SERVER_NAME),
            root_cert=certs / "root-cert.pem",
            cluster_id="Kubernetes",
            output_dir=certs,
            prov_dir=certs,
            headers=(("X-Extra", "1"),),
        )
    )
