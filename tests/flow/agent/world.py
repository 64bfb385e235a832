"""A VM's files, and a control plane that remembers whom it met: the whole agent, but for an Envoy. There is
none where it looks.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.authority import Authority, service_account_jwt
from tests.flow.agent.istiod import Istiod
from tests.flow.agent.machine import directory
from tests.flow.xds.machine import until
from tests.ports import free_ports
from tests.unit.config.vm import CLUSTER_ENV, HOST
from vmagent import reporting
from vmagent.agent import Agent
from vmagent.config import load
from vmagent.config.resolve import Paths
from vmagent.identity import trust
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.places import GATES
from vmagent.runtime.readiness import Readiness

VM = "spiffe://cluster.local/ns/istio-demo/sa/vm"
OTHER = "spiffe://cluster.local/ns/tooling/sa/other"

USUAL = "etc/certs/root-cert.pem"
PROVIDED = "prov/root-cert.pem"
LAST = "var/run/secrets/istio/root-cert.pem"
NAMED, NAMED_TOO = "named/root.pem", "named/another.pem"
CLIENT = "client/root.pem"
SYSTEM = "system/bundle.crt"
WORKLOAD = "var/run/secrets/workload-spiffe-credentials"

JOINED = 10.0
"""Seconds for a busy machine."""


class World:
    """A VM's files below one directory, and its control plane."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.istiod = Istiod(base)
        self.decoy = Authority("decoy")
        self.status, self.names = free_ports(2)
        self.env: dict[str, str] = {}
        self.mesh = ""
        self.gates = Readiness(*GATES)
        self.agent: Agent | None = None
        self.write("var/run/secrets/tokens/istio-token", service_account_jwt() + "\n")
        self.write("etc/resolv.conf", "nameserver 127.0.0.1\n")

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def remove(self, name: str) -> None:
        (self.base / name).unlink(missing_ok=True)

    @property
    def token(self) -> str:
        return (self.base / "var/run/secrets/tokens/istio-token").read_text().strip()

    def pair(self, chain: str, key: str, *, uri: str, life: float = 3600.0) -> None:
        """A certificate that the mesh would take, in two files."""
        made_key, made = self.istiod.mesh.server(x509.UniformResourceIdentifier(uri), life=life)
        self.write(chain, made)
        self.write(key, made_key)

    def roots(self, *, xds: str, ca: str) -> None:
        """The right roots in their places, and a wrong one wherever else somebody might look."""
        for place in (USUAL, PROVIDED, LAST, NAMED, NAMED_TOO, CLIENT, SYSTEM):
            right = [self.istiod.xds.authority.root_pem] if place == xds else []
            right += [self.istiod.ca.authority.root_pem] if place == ca else []
            self.write(place, b"".join(right) or self.decoy.root_pem)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        xds, ca = self.istiod.xds, self.istiod.ca
        settings = {
            "PILOT_ADDRESS": f"{self.env.pop('HOST', xds.host)}:{xds.number}",
            "CA_ADDR": f"127.0.0.1:{ca.number}",
            "DNS_PROXY_ADDR": f"127.0.0.1:{self.names}",
            "ISTIO_META_DNS_CAPTURE": "false",
        } | self.env
        self.write(
            "cluster.env", CLUSTER_ENV + "".join(f"{key}='{value}'\n" for key, value in settings.items())
        )
        mesh = f"  statusPort: {self.status}\n  configPath: {self.base}/proxy\n  binaryPath: /nowhere/envoy\n"
        self.write("mesh", f"defaultConfig:\n{mesh}{self.mesh}")
        names = ("cluster.env", "sidecar.env", "agent.env", "mesh")
        cluster, sidecar, own, mesh_file = (self.base / name for name in names)
        paths = Paths(cluster_env=cluster, sidecar_env=sidecar, agent_env=own, mesh=mesh_file, base=self.base)
        run_dir = self.base / "run"
        run_dir.mkdir(exist_ok=True)
        self.agent = agent = Agent(
            load.load(paths, {}, HOST).config, self.gates, run_dir=run_dir, clock=SystemClock()
        )
        stop = asyncio.Event()
        async with Tasks() as tasks:
            running = tasks.start("agent", agent.run(stop))
            try:
                yield agent
            finally:
                stop.set()
                async with asyncio.timeout(10):
                    await asyncio.wait((running,))

    @property
    def trouble(self) -> str:
        assert self.agent is not None
        return reporting.facts(self.agent.known()).trouble.get("xds", "")

    async def joined(self) -> None:
        try:
            await until(lambda: self.gates.is_open("xds") and self.gates.is_open("identity"), within=JOINED)
        except TimeoutError:
            raise AssertionError(f"not joined: {self.gates.waiting}; {self.trouble}") from None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with directory() as path:
        monkeypatch.setattr(trust, "SYSTEM_BUNDLES", (path / "nowhere.crt", path / SYSTEM))
        yield World(path)
