"""When the world has changed and has been quiet for a moment, everybody is told.

Owns:      how long a change waits for others (istiod's PILOT_DEBOUNCE_AFTER, PILOT_DEBOUNCE_MAX and
           PILOT_ENABLE_EDS_DEBOUNCE).
Surprise:  what "everybody is told" means is each stream's own business: one for which nothing is different
           stays silent (session.py).
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

from lab.controlplane.ads import AdsService
from lab.controlplane.kinds.kubernetes import Pod
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.pilot_metrics import PilotMetrics
from lab.controlplane.registry import Key
from lab.controlplane.store import Store

ENDPOINTS: Final = frozenset({WorkloadEntry.KIND, Pod.KIND, "Endpoints", "EndpointSlice"})
"""Kinds of which a change is one of endpoints."""
SERVICES: Final = frozenset({ServiceEntry.KIND, "Service"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """In seconds. A push comes ``after`` so much quiet, ``longest`` after the first change at the latest."""

    after: float
    longest: float
    endpoints: bool = True
    """Whether changes of endpoints alone wait too."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Changes that have not been pushed yet; times of one clock."""

    first: float
    last: float

    @classmethod
    def since(cls, now: float) -> Self:
        return cls(now, now)

    def and_again(self, now: float) -> "Waiting":
        return Waiting(self.first, now)

    def due(self, debounce: Debounce) -> float:
        return min(self.last + debounce.after, self.first + debounce.longest)


async def publish(store: Store, ads: AdsService, debounce: Debounce, metrics: PilotMetrics) -> None:
    """Endless."""
    clock = asyncio.get_running_loop().time
    while True:
        changed = await store.take_news()
        waiting = Waiting.since(clock())
        _count(changed, metrics)
        while debounce.endpoints or not only_endpoints(changed):
            try:
                async with asyncio.timeout_at(waiting.due(debounce)):
                    changed = await store.take_news()
            except TimeoutError:
                break
            waiting = waiting.and_again(clock())
            _count(changed, metrics)
        metrics.debounced.observe(clock() - waiting.first)
        ads.refresh(changed=waiting.first)


def only_endpoints(changed: Collection[Key]) -> bool:
    return all(kind in ENDPOINTS for kind, _, _ in changed)


def _count(changed: Collection[Key], metrics: PilotMetrics) -> None:
    for kind, _, _ in changed:
        what = "eds" if kind in ENDPOINTS else "svc" if kind in SERVICES else "config"
        metrics.updates.add(what)
    metrics.triggers.add("endpoint" if only_endpoints(changed) else "config")
