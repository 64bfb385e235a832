"""Random walks: changes, streams that break, peers that read late, in each pair of variants. In the end Envoy
has what the control plane has.
"""

import random
from collections.abc import Awaitable, Callable

import pytest

from tests.unit.xds.peers import ControlPlane, Envoy
from tests.unit.xds.transcript import CDS, EDS
from vmagent.xds.messages import (
    Ask,
    DeltaAsk,
    EnvoyClosed,
    EnvoyOpened,
    Event,
    Give,
    UpstreamClosed,
    UpstreamOpened,
)
from vmagent.xds.outbox import Outbox
from vmagent.xds.session import Session

WALKS = 250
NAMES = "abcd"


class Walk:
    def __init__(self, seed: int, *, upstream: bool, envoy: bool) -> None:
        self.chance = random.Random(seed)
        self.plane, self.envoy = ControlPlane(upstream), Envoy(envoy)
        self._session = Session((CDS,))
        self._up: Outbox | None = None
        self._down: Outbox | None = None

    async def go(self) -> None:
        for _ in range(self.chance.randint(20, 120)):
            roll = self.chance.random()
            if roll < 0.05:
                self._upstream(opens=self._up is None)
            elif roll < 0.09:
                self._downstream(opens=self._down is None)
            else:
                await self.chance.choice([self._change, *self._steps * 2])()

    async def rest(self) -> None:
        """Until nobody has anything to say, which is soon."""
        if self._up is None:
            self._upstream(opens=True)
        if self._down is None:
            self._downstream(opens=True)
        for _ in range(400):
            if not (len(self._up or ()) or len(self._down or ()) or self.plane.waiting or self.envoy.waiting):
                return
            for step in self._steps:
                await step()
        raise AssertionError("they never come to rest")

    @property
    def _steps(self) -> list[Callable[[], Awaitable[None]]]:
        return [self._plane_reads, self._plane_sends, self._envoy_reads, self._envoy_sends]

    def _upstream(self, *, opens: bool) -> None:
        self.plane.forgets()
        self._up = Outbox() if opens else None
        self._happens(UpstreamOpened(self.plane.delta) if opens else UpstreamClosed())

    def _downstream(self, *, opens: bool) -> None:
        self.envoy.waiting.clear()
        self._down = Outbox() if opens else None
        if opens and self.chance.random() < 0.5:
            self.envoy = Envoy(self.envoy.delta)
        self._happens(EnvoyOpened(self.envoy.delta) if opens else EnvoyClosed())
        if opens:
            self.envoy.opens()

    def _happens(self, event: Event) -> None:
        for command in self._session.on(event):
            if isinstance(command, Give):
                assert self._down is not None
                self._down.put(command)
            else:
                assert self._up is not None
                assert isinstance(command, Ask | DeltaAsk)
                self._up.put(command)

    async def _change(self) -> None:
        url, name = self.chance.choice((CDS, EDS)), self.chance.choice(NAMES)
        self.plane.changes(url, name, vanishes=self.chance.random() < 0.25)

    async def _plane_reads(self) -> None:
        if self._up:
            ask = await self._up.get()
            assert isinstance(ask, Ask | DeltaAsk)
            self.plane.reads(ask)

    async def _plane_sends(self) -> None:
        if self._up is not None and self.plane.waiting:
            self._happens(self.plane.waiting.pop(0))

    async def _envoy_reads(self) -> None:
        if self._down:
            given = await self._down.get()
            assert isinstance(given, Give)
            self.envoy.reads(given)

    async def _envoy_sends(self) -> None:
        if self._down is not None and self.envoy.waiting:
            self._happens(self.envoy.waiting.pop(0))


@pytest.mark.parametrize("upstream", [False, True], ids=["upstream sotw", "upstream delta"])
@pytest.mark.parametrize("envoy", [False, True], ids=["Envoy sotw", "Envoy delta"])
@pytest.mark.parametrize("part", range(4))
async def test_envoy_has_in_the_end_what_the_control_plane_has(
    upstream: bool, envoy: bool, part: int
) -> None:
    for seed in range(part * WALKS, (part + 1) * WALKS):
        walk = Walk(seed, upstream=upstream, envoy=envoy)
        await walk.go()
        await walk.rest()
        clusters, endpoints = walk.plane.state[CDS], walk.plane.state[EDS]
        assert walk.envoy.has[CDS] == clusters, f"walk {seed}"
        wanted = {name: each for name, each in endpoints.items() if name in clusters}
        found = {name: each for name, each in walk.envoy.has[EDS].items() if name in endpoints}
        assert found == wanted, f"walk {seed}"
        if upstream and envoy:
            assert clusters.keys() - endpoints.keys() <= walk.envoy.missing, f"walk {seed}"
