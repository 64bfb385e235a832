"""What one part makes of another's news: a part of the composition, beside agent.py.

Owns:      the tasks between the parts, one for each kind of news; who opens which gate.
Does not:  make a part, or order their start and stop (agent.py).
"""

import asyncio
from dataclasses import dataclass

from vmagent.envoy.supervisor import EnvoyState
from vmagent.health.verdict import Verdict
from vmagent.proof import Proof
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.readiness import Readiness
from vmagent.runtime.systemd import Systemd
from vmagent.xds.hub import Hub
from vmagent.xds.upstream import Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Joints:
    """``dns_serves``: None if no names are captured. ``news``: set when the status has something to tell."""

    gates: Readiness
    systemd: Systemd
    proof: Proof
    hub: Hub
    upstream: Upstream
    envoy: Latest[EnvoyState]
    verdicts: Latest[Verdict]
    dns_serves: Latest[bool] | None
    news: asyncio.Event

    def start(self, tasks: Tasks) -> list[asyncio.Task[None]]:
        """They run until they are cancelled."""
        work = {
            "new-credential": self._on_credentials(),
            "new-files": self._on_files(),
            "mended-files": self._on_mended(),
            "configuration-complete": self._on_complete(),
            "name-table": self._on_name_table(),
            "envoy-state": self._on_envoy(),
            "application-health": self._on_verdicts(),
        }
        return [tasks.start(name, each) for name, each in work.items()]

    async def _on_credentials(self) -> None:
        async for _ in self.proof.credentials.changes():
            self.upstream.retry_now()

    async def _on_files(self) -> None:
        """Among them may be what the control plane is to be shown."""
        async for _ in self.proof.files.news.changes():
            self.upstream.retry_now()
            self.news.set()

    async def _on_mended(self) -> None:
        """What the control plane objected to, or what we could not read, may be gone."""
        while True:
            await self.proof.mended()
            self.upstream.retry_now()

    async def _on_complete(self) -> None:
        await self.hub.complete.first()
        self.gates.open("xds")

    async def _on_name_table(self) -> None:
        """Names are captured only when the mesh's are known; without DNS capture there is no such wait."""
        if self.dns_serves is None:
            self._tell_started()
        else:
            await self.dns_serves.first()
            self._tell_started()
            self.gates.close("dns", "no name table from the control plane yet; other names are forwarded")
            await self.hub.tables.first()
        self.gates.open("dns")

    def _tell_started(self) -> None:
        """What systemd calls started: names resolve, whatever becomes of the mesh."""
        self.systemd.tell("READY=1")

    async def _on_envoy(self) -> None:
        async for state in self.envoy.changes():
            if state.ready:
                self.gates.open("envoy")
            else:
                self.gates.close("envoy", state.reason)

    async def _on_verdicts(self) -> None:
        async for verdict in self.verdicts.changes():
            self.hub.report_health("" if verdict.healthy else verdict.message)
            self.news.set()
