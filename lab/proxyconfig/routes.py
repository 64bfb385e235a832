"""Route tables: which names lead where, and which VirtualService says so.

Surprise:  two istioctls tell it. The documents' (Istio 1.10) shows the shortest name of a virtual host, and
           so does the table here; today's, the wide one, the virtual host's own name and two of its domains.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from lab.proxyconfig.dump import Json, at, items, routes, text, texts
from lab.proxyconfig.origin import origin

HEADING: Final = ("NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")
WIDE: Final = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")
GAP: Final = 5

PASSTHROUGH: Final = "PassthroughCluster"
NOT_FOUND: Final = "404"
"""In place of a VirtualService: a virtual host without routes answers so."""

_DOMAINS_SHOWN: Final = 2


def chosen(dump: Json, *, name: str = "") -> list[Json]:
    """Route tables; those named by a port first, in order of the number."""
    found = [each for each in routes(dump) if name in ("", text(each, "name"))]
    return sorted(found, key=lambda each: _rank(text(each, "name")))


def rows(tables: Iterable[Json], *, wide: bool = False) -> Iterator[tuple[str, ...]]:
    """Heading first. What passes whatever it is about through is no row: it is of no service."""
    yield WIDE if wide else HEADING
    for table in tables:
        name = text(table, "name")
        for host in items(table, "virtual_hosts"):
            domains = texts(host, "domains")
            for match, by in _of_host(host):
                if wide:
                    yield name, text(host, "name"), listed_domains(domains), match, by
                else:
                    yield name, shortest_domain(domains), match, by


def described_match(match: Json) -> str:
    """Of the path; headers and the like are not told."""
    conditions = []
    for field in ("prefix", "path_separated_prefix"):
        if text(match, field):
            conditions.append(f"{text(match, field)}*")
    if text(match, "path"):
        conditions.append(text(match, "path"))
    if at(match, "safe_regex") is not None:
        conditions.append(f"regex {text(match, 'safe_regex', 'regex')}")
    return " ".join(conditions)


def shortest_domain(domains: Iterable[str]) -> str:
    """That is a name; all others of a virtual host are longer forms of it, addresses and ports."""
    every = list(domains)
    names = [each for each in every if not _has_port(each) and not _is_address(each)]
    return min(names or every, key=len, default="")


def listed_domains(domains: Iterable[str]) -> str:
    """Two of them and how many more: without those that only add a port, or a longer form of one that is
    there."""
    every = list(domains)
    if len(every) < 2:
        return "".join(every)
    names = [each for each in every if not _has_port(each)]
    kept = [each for each in names if not _longer_form(each, names)]
    more = len(kept) - _DOMAINS_SHOWN
    shown = ", ".join(kept[:_DOMAINS_SHOWN])
    return f"{shown} + {more} more..." if more > 0 else shown


def _of_host(host: Json) -> Iterator[tuple[str, str]]:
    found = items(host, "routes")
    if not found:
        yield "/*", NOT_FOUND
    for route in found:
        if text(route, "route", "cluster") != PASSTHROUGH:
            yield described_match(at(route, "match")), origin(route)


def _has_port(domain: str) -> bool:
    if domain.startswith("["):
        return not domain.endswith("]")
    return domain.count(":") == 1


def _is_address(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return False
    return True


def _longer_form(domain: str, names: list[str]) -> bool:
    suffixes = (".svc.cluster.local", ".svc")
    return any(domain.endswith(each) and domain.removesuffix(each) in names for each in suffixes)


def _rank(name: str) -> tuple[int, int]:
    return (0, int(name)) if name.isdecimal() else (1, 0)
