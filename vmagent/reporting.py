"""What the agent says about itself, from what its parts know: a part of the composition, beside agent.py.

Owns:      the facts of the status document, and when it is written and systemd is told.
Does not:  know how a document looks (status/document.py) or what is counted (measured.py).
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent import __version__
from vmagent.config.model import Config
from vmagent.health.verdict import Verdict
from vmagent.proof import Proof
from vmagent.runtime.latest import Latest
from vmagent.runtime.readiness import Readiness
from vmagent.runtime.systemd import Tell
from vmagent.runtime.waiting import happens
from vmagent.status import document
from vmagent.xds.hub import Hub
from vmagent.xds.lastgood.part import LastGood

STATUS_EVERY: Final = 1.0
"""Seconds between looks at what changes without a gate that moves: an expiry, a lost control plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Where the facts are. ``envoy_trouble`` is None while Envoy takes traffic; ``trouble`` is part to what
    is wrong with it now, empty for nothing.
    """

    config: Callable[[], Config]
    """As it is now: the machine may have got another address."""
    started: float
    news: asyncio.Event
    """Set when something moved that is worth telling at once."""
    gates: Readiness
    proof: Proof
    hub: Hub
    last_good: LastGood
    verdicts: Latest[Verdict]
    trouble: Mapping[str, str]
    envoy_trouble: Callable[[], str | None]


def facts(known: Known) -> document.Facts:
    credential = known.proof.credentials.value
    return document.Facts(
        version=__version__,
        pid=os.getpid(),
        started=known.started,
        node=known.config().node.id,
        role=known.config().role,
        gates=known.gates.gates,
        certificate=str(credential.spiffe) if credential else "",
        certificate_expires=credential.not_after if credential else 0.0,
        control_plane=str(known.config().control_plane.xds.address),
        control_plane_connected=known.hub.connected,
        stale=known.last_good.told,
        secrets=known.proof.secrets.summary,
        trouble={part: why for part, why in _trouble(known).items() if why},
        xds_versions=known.hub.versions,
        taken_out=known.hub.taken_out,
        refused=document.few(known.hub.refused),
        envoy=known.envoy_trouble() or "serving",
        dns=f"{len(known.hub.tables.value or ())} names of the mesh" if known.config().dns.enabled else "off",
        health=_health(known),
    )


def _trouble(known: Known) -> dict[str, str]:
    proof = known.proof
    doubt = proof.introduction.doubt if known.gates.is_open("identity") else ""  # else the gate says it
    identity = "; ".join(filter(None, (proof.keeper.trouble, doubt)))
    return {**known.trouble, "identity": identity, "secrets": proof.secrets.trouble}


def remarks(known: Known) -> dict[str, str]:
    """What whoever asks for readiness should know beside it: ready, and yet."""
    found = {"identity": known.proof.keeper.trouble, "xds": known.last_good.told}
    return {what: why for what, why in found.items() if why}


def _health(known: Known) -> str:
    verdict = known.verdicts.value
    if not known.config().probe:
        return "no probe"
    if verdict is None:
        return "not probed yet"
    return "healthy" if verdict.healthy else f"unhealthy: {verdict.message}"


async def publish(known: Known, run_dir: Path, look: Callable[[], None], tell: Tell) -> None:
    """For ever: whenever a gate moves, and now and then. ``look`` is called each time, ``tell`` when there is
    news for systemd.
    """
    last: document.Facts | None = None
    while True:
        look()
        current = facts(known)
        if current != last:
            written = document.write(run_dir, current)
            tell(f"STATUS={document.sentence(current)}")
            last = current if written else None  # no room: the next look tries again
        known.news.clear()
        await happens(known.news, within=STATUS_EVERY)
