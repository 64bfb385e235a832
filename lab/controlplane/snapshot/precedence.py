"""Of several documents that claim one host: which count for a proxy, in which order, and what becomes one.

Does not:  look at more than one host at a time: what is said here about one depends on no other.
"""

from collections.abc import Iterable
from dataclasses import replace

from lab.controlplane.proxy import Proxy
from lab.controlplane.services import Service


def rank(service: Service, proxy: Proxy) -> tuple[int, tuple[str, str, str, str]]:
    """As istiod lists them: the namespace's own private ones, those shown to it by name, those shown to
    all."""
    if "*" in service.export_to:
        return 2, service.order
    return 0 if service.namespace == proxy.namespace else 1, service.order


def of_one_namespace(shown: Iterable[Service], proxy: Proxy) -> list[Service]:
    """All documents of a host that count: those of the first namespace that has it, the proxy's own before
    others, a Kubernetes Service before an entry of elsewhere."""
    chosen: dict[str, Service] = {}
    shown = list(shown)
    for each in shown:
        first = chosen.setdefault(each.host, each)
        foreign = first.namespace != proxy.namespace
        if each.namespace == proxy.namespace or (each.kubernetes and not first.kubernetes and foreign):
            chosen[each.host] = each
    return [each for each in shown if each.namespace == chosen[each.host].namespace]


def merged(listened: Iterable[Service]) -> tuple[list[Service], list[tuple[str, str]]]:
    """One service a host: the first, with the ports of those like it that it has not. Kubernetes' own
    wins."""
    found: dict[str, Service] = {}
    lost = []
    for each in listened:
        first = found.get(each.host)
        if first is None or (each.kubernetes and not first.kubernetes):
            found[each.host] = each
        elif _alike(first, each):
            numbers = {port.number for port in first.ports}
            more = tuple(port for port in each.ports if port.number not in numbers)
            found[each.host] = replace(first, ports=first.ports + more) if more else first
        elif each.document is not first.document:
            lost.append(_lost(each, first))
    return list(found.values()), lost


def _lost(service: Service, first: Service) -> tuple[str, str]:
    served = f"{service.host} is already served by {_called(first)}"
    return service.host, f"{_called(service)}: {served}: of this one only endpoints count"


def in_order(lost: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(lost, key=lambda each: each[0]))


def _alike(one: Service, other: Service) -> bool:
    """Two documents of one host are taken as one service."""
    return (
        one.registry is other.registry
        and one.namespace == other.namespace
        and one.resolution is other.resolution
        and one.labels == other.labels
        and one.selector == other.selector
        and set(one.export_to) == set(other.export_to)
    )


def _called(service: Service) -> str:
    about = service.document.metadata
    return f"{service.document.KIND} {about.namespace}/{about.name}"
