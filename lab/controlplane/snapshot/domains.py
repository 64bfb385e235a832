"""By which Host headers a service is meant, and that no two services share one.

Surprise:  Envoy refuses a route table as a whole that has one domain twice, so who comes second goes without
           it.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from lab.controlplane.kinds.service_entry import Resolution
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.view import Seen, View

_SVC = ".svc."


class Wanted:
    """By which domains one host would be meant, in order, on one port."""

    def __init__(self, host: str, port: int, domains: Iterable[str]) -> None:
        self.name = names.virtual_host(host, port)
        self.domains = tuple(dict.fromkeys(domains))
        self.lowered = frozenset(each.lower() for each in self.domains)
        self.shortened = frozenset(self.domains) - {host}


class Domains:
    """Of one route table, while it is filled."""

    def __init__(self, full: Iterable[str]) -> None:
        """``full``: hosts of services as they are. A shortened name never takes one of them away."""
        self._full = frozenset(full)
        self._names: set[str] = set()
        self._taken: set[str] = set()

    def claimed(self, wanted: Wanted) -> tuple[str, ...]:
        """What is left for it."""
        if wanted.name in self._names:
            return ()
        self._names.add(wanted.name)
        if self._taken.isdisjoint(wanted.lowered) and self._full.isdisjoint(wanted.shortened):
            self._taken |= wanted.lowered  # the usual case, for each of ten thousand
            return wanted.domains
        own = []
        for domain in wanted.domains:
            shortened = domain in wanted.shortened and domain in self._full
            if domain.lower() not in self._taken and not shortened:
                own.append(domain)
                self._taken.add(domain.lower())
        return tuple(own)


def domains_of(view: View, seen: Seen, port: int) -> list[str]:
    """``port``: written behind each as well; 0: nowhere, since the table is of one port and ignores it."""
    found = [seen.host, *_other_names(seen.host, view.proxy.dns_domain)]
    if seen.service.kubernetes and seen.service.resolution is Resolution.NONE:
        found += [f"*.{each}" for each in found]
    if not seen.everywhere:
        found += [_bracketed(each) for each in (seen.address, *seen.more_addresses)]
    return [each for domain in found for each in ((domain, f"{domain}:{port}") if port else (domain,))]


def _other_names(host: str, domain: str) -> Iterator[str]:
    """With a final dot; and for a service of Kubernetes, what a client in this domain may shorten it to."""
    if not _is_address(host):
        yield f"{host}."
    namespace, svc, suffix = domain.partition(_SVC)
    if not svc or not host.endswith(f"{_SVC}{suffix}"):
        return
    short = host.partition(_SVC)[0]
    name, _, own = short.partition(".")
    if own == namespace:
        yield name
    yield short
    yield f"{short}.svc"


def _bracketed(address: str) -> str:
    return f"[{address}]" if _is_address(address) and ":" in address else address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
