"""A VM as files below one directory, on ports of its own, and the agent that its configuration makes."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.controlplane.proxy import Proxy
from lab.controlplane.server import ControlPlane
from lab.controlplane.snapshot import Snapshot
from tests.flow.envoy.parts import BINARY
from tests.flow.xds.test_envoy import unbound
from tests.ports import free_ports
from tests.unit.config.vm import CLUSTER_ENV, HOST
from vmagent.agent import Agent
from vmagent.config import load
from vmagent.config.resolve import Paths
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.places import GATES
from vmagent.runtime.readiness import Readiness

MESH = """\
defaultConfig:
  discoveryAddress: 127.0.0.1:{control_plane}
  proxyAdminPort: {admin}
  statusPort: {status}
  configPath: {config}
  binaryPath: {binary}
  concurrency: 1
  terminationDrainDuration: 1s
"""

ZIPKIN = """\
  tracing:
    zipkin:
      address: zipkin.istio-system:9411
"""


@dataclass
class Life:
    """One run of the agent. ``moves``: each move of a gate, in order, as ``name: state``."""

    agent: Agent
    gates: Readiness
    stop: asyncio.Event
    moves: list[str] = field(default_factory=list)


class Machine:
    def __init__(
        self,
        root: Path,
        control_plane: ControlPlane,
        *,
        zipkin: bool = False,
        dns: bool = True,
        role: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """``settings`` lie over those of the documents' VM."""
        self.root = root
        self.role = role
        self.admin, self.status, self.health, self.prometheus, self.names = free_ports(5)
        self.run_dir = root / "run"
        self.token = root / "var/run/secrets/tokens/istio-token"
        self.paths = Paths(
            cluster_env=root / "cluster.env",
            sidecar_env=root / "sidecar.env",
            agent_env=root / "agent.env",
            mesh=root / "mesh",
            base=root,
        )
        mesh = MESH.format(
            control_plane=control_plane.listening.port,
            admin=self.admin,
            status=self.status,
            config=root / "etc/istio/proxy",
            binary=BINARY,
        )
        more = {
            **(settings or {}),
            "ISTIOD_SAN": "istiod.istio-system.svc",
            "ENVOY_STATUS_PORT": self.health,
            "ENVOY_PROMETHEUS_PORT": self.prometheus,
            "DNS_PROXY_ADDR": f"127.0.0.1:{self.names}",
            "OUTPUT_CERTS": root / "etc/certs",
        }
        env = CLUSTER_ENV.replace("DNS_CAPTURE='true'", f"DNS_CAPTURE='{str(dns).lower()}'")
        self._write("cluster.env", env + "".join(f"{key}='{value}'\n" for key, value in more.items()))
        self._write("mesh", mesh + (ZIPKIN if zipkin else ""))
        self._write("etc/resolv.conf", "nameserver 127.0.0.1\n")
        self._write("etc/certs/root-cert.pem", control_plane.root_pem.decode())
        self._write("var/run/secrets/tokens/istio-token", control_plane.issue_token(*self._account(more)))
        self.run_dir.mkdir()

    def _account(self, settings: Mapping[str, object]) -> tuple[str, str]:
        namespace, account = (settings.get(key) for key in ("ISTIO_NAMESPACE", "SERVICE_ACCOUNT"))
        return str(namespace or "istio-demo"), str(account or "vm")

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def sockets(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_socket()]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Life]:
        """Stopped as SIGTERM does it when the block ends; drained within the parts' grace or it fails."""
        gates = Readiness(*GATES, directory=self._gates())
        loaded = load.load(self.paths, {}, HOST, role=self.role)
        agent = Agent(loaded.config, gates, run_dir=self.run_dir, clock=SystemClock())
        life = Life(agent, gates, asyncio.Event())
        told, seen = gates.changed, dict(gates.gates)

        def note() -> None:
            told()
            for gate, state in gates.gates.items():
                if seen[gate] != state:
                    seen[gate] = state
                    life.moves.append(f"{gate}: {state}")

        gates.changed = note
        gates.open("config")
        async with Tasks() as tasks:
            running = tasks.start("agent", agent.run(life.stop))
            try:
                yield life
            finally:
                life.stop.set()
                async with asyncio.timeout(10):
                    await asyncio.wait((running,))

    def _gates(self) -> Path:
        path = self.run_dir / "gates"
        path.mkdir(exist_ok=True)
        return path


def without_real_sockets(control_plane: ControlPlane) -> None:
    """15001 and 15006 may be somebody else's here."""

    def build(proxy: Proxy) -> Snapshot:
        return unbound(control_plane.snapshot(proxy))

    control_plane.ads.build = build


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Short: the path of a unix socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="vm-") as name:
        yield Path(name)
