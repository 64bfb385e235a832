"""The parts' numbers, as the status room wants them: a part of the composition, beside agent.py.

Owns:      which number of which part is which reading; and the few that no part keeps: how attempts to reach
           the control plane ended, when it last said something, how long the start took.
Does not:  name metrics (status/catalogue.py).
Surprise:  ``metrics`` is called from the threads of the status port. It only reads, and every value it reads
           is replaced as a whole by its owner.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vmagent import __version__
from vmagent.dns.counters import BUCKETS
from vmagent.dns.server import DnsServer
from vmagent.envoy.supervisor import EnvoyState
from vmagent.errors import VmagentError
from vmagent.health.verdict import Verdict
from vmagent.identity.keeper import IdentityStatus
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest
from vmagent.runtime.readiness import OPEN, Readiness
from vmagent.sds.files import FileSecrets
from vmagent.status import catalogue
from vmagent.status.catalogue import DnsReadings, Readings
from vmagent.status.exposition import Metric
from vmagent.xds.hub import Hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Where the numbers are."""

    gates: Readiness
    hub: Hub
    identity: Callable[[], IdentityStatus]
    envoy: Latest[EnvoyState]
    verdicts: Latest[Verdict]
    dns: DnsServer | None
    secrets: FileSecrets
    last_known_good_age: Callable[[], float | None] = lambda: None


class Meter:
    """``heard`` and ``look`` are for the event loop, ``metrics`` and ``names`` for any thread."""

    def __init__(self, measures: Measures, *, clock: Clock) -> None:
        self._of = measures
        self._clock = clock
        self._born = clock.monotonic()
        self._startup: float | None = None
        self._talking = False
        self._failures = self._terminations = 0
        self._received: float | None = None

    def look(self) -> None:
        """Now and then: whether the agent has become ready for the first time."""
        if self._startup is None and not self._of.gates.waiting:
            self._startup = self._clock.monotonic() - self._born

    def heard(self, problem: VmagentError | None) -> None:
        """What came of an attempt to reach the control plane; None: it said something."""
        if problem is None:
            self._received = self._clock.now()
        elif self._talking:
            self._terminations += 1
        else:
            self._failures += 1
        self._talking = problem is None

    def metrics(self) -> Sequence[Metric]:
        return catalogue.metrics(self._readings())

    def names(self) -> dict[str, Any] | None:
        """The control plane's name table, in the shape in which Istio's agent shows it."""
        table = self._of.hub.tables.value if self._of.dns else None
        return None if table is None else {"table": {host: asdict(entry) for host, entry in table.items()}}

    def _readings(self) -> Readings:
        of, identity = self._of, self._of.identity()
        envoy, verdict = of.envoy.value, of.verdicts.value
        return Readings(
            now=self._clock.now(),
            version=__version__,
            gates={gate: state == OPEN for gate, state in of.gates.gates.items()},
            startup_seconds=self._startup,
            certificate_expires=identity.not_after,
            token_expires=identity.token_expires,
            certificate_requests=identity.attempts,
            certificate_failures=identity.failures,
            file_expiries=of.secrets.expiries,
            file_failures=of.secrets.failures,
            connected=of.hub.connected,
            connection_failures=self._failures,
            terminations={"error": self._terminations},
            xds_requests=of.hub.requests,
            xds_responses=of.hub.responses,
            config_received=self._received,
            last_known_good_age=of.last_known_good_age(),
            taken_out=tuple(of.hub.taken_out),
            refused=len(of.hub.refused),
            envoy_ready=envoy is not None and envoy.ready,
            envoy_restarts=envoy.restarts if envoy else 0,
            dns=_dns(of.dns) if of.dns else None,
            healthy=verdict.healthy if verdict else None,
        )


def _dns(dns: DnsServer) -> DnsReadings:
    seen = dns.counters
    return DnsReadings(
        requests=seen.requests,
        upstream_requests=seen.upstream_requests,
        upstream_failures=seen.upstream_failures,
        bounds=BUCKETS,
        counts=tuple(seen.upstream_seconds.counts),
        upstream_seconds=seen.upstream_seconds.total,
        from_table=seen.from_table,
        names=dns.names,
    )
