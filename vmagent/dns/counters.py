"""What DNS has done so far, as plain numbers. One thread writes, the status room reads whenever it likes."""

from dataclasses import dataclass, field
from typing import Final

BUCKETS: Final = (0.001, 0.005, 0.01, 0.1, 1.0, 5.0)
"""Seconds, upper bounds: those of Istio's ``dns_upstream_request_duration_seconds``."""


@dataclass(slots=True)
class Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    """Per bucket, not cumulated; the last is for what took longer than every bound."""
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[next((i for i, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))] += 1
        self.total += seconds


@dataclass(slots=True)
class Counters:
    """The first three and the histogram are those of Istio's agent (``istio_agent_dns_...``)."""

    requests: int = 0
    """Received, malformed ones included."""
    upstream_requests: int = 0
    """Questions handed to the host's resolvers, however many tries each took."""
    upstream_failures: int = 0
    """Of those, the ones nobody answered."""
    upstream_seconds: Histogram = field(default_factory=Histogram)
    upstream_retries: int = 0
    """Second and further sendings: retries and hedges."""
    from_table: int = 0
    malformed: int = 0
    """Answered with FORMERR or NOTIMP, or not at all."""
    overload: int = 0
    """Answered with SERVFAIL because too many questions were under way, or a TCP connection was refused."""
    loops: int = 0
    """Our own questions that came back to us."""
    strays: int = 0
    """Datagrams on an upstream socket that belong to no question of ours."""
    unsent: int = 0
    """Replies that the kernel would not take."""
