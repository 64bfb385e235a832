"""What istiod counts, under its names, as far as this control plane does the same.

Names, buckets and meanings are those of Istio 1.29's pilot; operators have dashboards for them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import grpc

from lab.controlplane import type_urls
from lab.controlplane.metrics import Counter, Gauge, Histogram, Instrument, Labels

SHORT: Final[Mapping[str, str]] = {
    type_urls.CLUSTER: "cds",
    type_urls.ENDPOINT: "eds",
    type_urls.LISTENER: "lds",
    type_urls.ROUTE: "rds",
    type_urls.NAME_TABLE: "nds",
}
"""What istiod calls a type in a label. One that nobody serves keeps its URL."""

_TIMES: Final = (0.01, 0.1, 1, 3, 5, 10, 20, 30)
_DELAYS: Final = (0.1, 0.5, 1, 3, 5, 10, 20, 30)
_SIZES: Final = (1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000)

_CODES: Final = {each.value[0]: each.name.title().replace("_", "") for each in grpc.StatusCode}
"""As Go writes them: Internal, InvalidArgument."""


def short(type_url: str) -> str:
    return SHORT.get(type_url, type_url)


class PilotMetrics:
    """Times in seconds, sizes in bytes."""

    def __init__(
        self, versions: Callable[[], Mapping[str, int]] = dict, services: Callable[[], int] = int
    ) -> None:
        """``versions``: connected clients by the version of Istio they say they are."""
        self._gauges = (_clients(versions), _services(services))
        self.pushes = Counter("pilot_xds_pushes", "Responses sent, by type.", ("type",))
        self.push_time = Histogram(
            "pilot_xds_push_time", "From a response's being due until it was handed over.", _TIMES, ("type",)
        )
        self.send_time = Histogram("pilot_xds_send_time", "Writing one response to its stream.", _TIMES)
        self.config_size = Histogram(
            "pilot_xds_config_size_bytes", "Sizes of the responses, by type.", _SIZES, ("type",)
        )
        self.queue_time = Histogram(
            "pilot_proxy_queue_time", "From a push's being due until this proxy's turn.", _DELAYS
        )
        self.convergence = Histogram(
            "pilot_proxy_convergence_time", "From a change until a proxy was sent all of it.", _DELAYS
        )
        self.debounced = Histogram(
            "pilot_debounce_time", "From the first change until the push that holds it.", _TIMES
        )
        self.triggers = Counter("pilot_push_triggers", "What brought pushes about.", ("type",))
        self.updates = Counter("pilot_inbound_updates", "Changes of resources, by what they are.", ("type",))
        self.rejects = Counter("pilot_total_xds_rejects", "Responses a client refused, by type.", ("type",))
        self.expired_nonces = Counter(
            "pilot_xds_expired_nonce", "Answers to a response that was no longer the newest.", ("type",)
        )
        self._rejects_of = {name: _rejects(name) for name in ("cds", "eds", "lds", "rds")}

    def rejected(self, type_url: str, node: str, code: int) -> None:
        """``code`` is gRPC's."""
        self.rejects.add(short(type_url))
        if of_type := self._rejects_of.get(short(type_url)):
            of_type.add(node, _CODES.get(code, f"Code({code})"))

    def instruments(self) -> Iterator[Instrument]:
        yield from self._gauges
        yield from (each for each in vars(self).values() if isinstance(each, Counter | Histogram))
        yield from self._rejects_of.values()


def _clients(versions: Callable[[], Mapping[str, int]]) -> Gauge:
    def read() -> Mapping[Labels, float]:
        return {(version,): float(count) for version, count in versions().items()}

    return Gauge("pilot_xds", "Connected xDS clients, by the version they say they are.", read, ("version",))


def _services(services: Callable[[], int]) -> Gauge:
    return Gauge("pilot_services", "Hosts of services.", lambda: {(): float(services())})


def _rejects(name: str) -> Counter:
    text = f"Refused {name.upper()} responses, by node and gRPC code."
    return Counter(f"pilot_xds_{name}_reject", text, ("node", "err"))
