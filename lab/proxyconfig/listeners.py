"""Listeners: what a proxy takes, chain by chain, and where that goes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lab.proxyconfig.dump import Json, at, items, listeners, text, texts
from lab.proxyconfig.routes import described_match

HEADING: Final = ("ADDRESSES", "PORT", "MATCH", "DESTINATION")
GAP: Final = 1

_HTTP: Final = ".HttpConnectionManager"
_TCP: Final = ".TcpProxy"
_NOWHERE: Final = "BlackHoleCluster"
_OTHER: Final = "Non-HTTP/Non-TCP"

_PROTOCOLS: Final = {
    ("http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "HTTP TLS",
    ("istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "Istio HTTP Plain",
    ("istio-peer-exchange", "istio"): "TCP TLS",
    ("http/1.0", "http/1.1", "h2c"): "HTTP",
}
"""What istioctl calls the lists that istiod uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is empty filters nothing. ``kind``: HTTP, TCP, HTTP+TCP or UNKNOWN."""

    address: str = ""
    port: int = 0
    kind: str = ""

    def takes(self, listener: Json) -> bool:
        return (
            self.address in ("", *addresses(listener))
            and (not self.port or port(listener) == self.port)
            and self.kind.upper() in ("", kind(listener))
        )


def chosen(dump: Json, wanted: Filter) -> list[Json]:
    found = [each for each in listeners(dump) if wanted.takes(each)]
    return sorted(found, key=lambda each: (port(each), addresses(each), kind(each)))


def rows(found: Iterable[Json]) -> Iterator[tuple[str, ...]]:
    """Heading first; a row for each filter chain."""
    yield HEADING
    for listener in found:
        chains = sorted(
            ((takes(chain), destination(chain)) for chain in _chains(listener)),
            key=lambda each: each[1],
            reverse=True,
        )
        for match, goes in chains:
            yield ",".join(addresses(listener)), str(port(listener)), match, goes


def addresses(listener: Json) -> list[str]:
    every = [
        at(listener, "address"),
        *(at(each, "address") for each in items(listener, "additional_addresses")),
    ]
    return [text(each, "socket_address", "address") or text(each, "pipe", "path") for each in every]


def port(listener: Json) -> int:
    said = text(listener, "address", "socket_address", "port_value")
    return int(said) if said.isdecimal() else 0


def kind(listener: Json) -> str:
    """What its filters speak."""
    ends = [_end(chain) for chain in _chains(listener)]
    http = any(_type(each).endswith(_HTTP) for each in ends)
    tcp = any(_type(each).endswith(_TCP) and text(each, "cluster") != _NOWHERE for each in ends)
    return {(True, False): "HTTP", (True, True): "HTTP+TCP", (False, True): "TCP"}.get((http, tcp), "UNKNOWN")


def takes(chain: Json) -> str:
    """What must be true of a connection, as far as istioctl tells it: not where it comes from."""
    match = at(chain, "filter_chain_match")
    told = []
    if names := texts(match, "server_names"):
        told.append(f"SNI: {','.join(names)}")
    if transport := text(match, "transport_protocol"):
        told.append(f"Trans: {transport}")
    if protocols := texts(match, "application_protocols"):
        told.append(f"App: {_PROTOCOLS.get(tuple(protocols)) or ','.join(protocols)}")
    number = text(match, "destination_port")
    ranges = [
        f"{text(each, 'address_prefix')}/{text(each, 'prefix_len') or 0}"
        for each in items(match, "prefix_ranges")
    ]
    if ranges or number:
        told.append(f"Addr: {','.join(ranges) or '*'}{f':{number}' if number else ''}")
    return "; ".join(told) or "ALL"


def destination(chain: Json) -> str:
    end = _end(chain)
    if _type(end).endswith(_HTTP):
        if at(end, "route_config") is not None:
            return f"Inline Route: {_inline(at(end, 'route_config'))}"
        table = text(end, "rds", "route_config_name")
        return f"Route: {table}" if table else "HTTP"
    if not _type(end).endswith(_TCP) or text(end, "cluster") == _NOWHERE:
        return _OTHER
    cluster = text(end, "cluster")
    if "Cluster" in cluster:
        return cluster
    weighted = [
        f"{text(each, 'name')} ({text(each, 'weight')})"
        for each in items(end, "weighted_clusters", "clusters")
    ]
    return f"Cluster: {cluster or ', '.join(weighted)}"


def _chains(listener: Json) -> list[Json]:
    default = at(listener, "default_filter_chain")
    return [*items(listener, "filter_chains"), *([default] if default is not None else [])]


def _end(chain: Json) -> Json:
    """The filter that decides where a connection goes: by its type, whatever somebody called it."""
    configs = (at(each, "typed_config") for each in items(chain, "filters"))
    return next((each for each in configs if _type(each).endswith((_HTTP, _TCP))), None)


def _type(config: Json) -> str:
    return text(config, "@type")


def _inline(table: Json) -> str:
    hosts = []
    for host in items(table, "virtual_hosts"):
        matches = ", ".join(described_match(at(each, "match")) for each in items(host, "routes"))
        domains = texts(host, "domains")
        hosts.append(matches if domains == ["*"] else f"{'/'.join(domains)} {matches}")
    return "; ".join(hosts)
