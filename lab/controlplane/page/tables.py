"""Facts as tables: one cell a fact, states in words as well as in colour."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from lab.controlplane import type_urls
from lab.controlplane.connection import Connection, Sent
from lab.controlplane.page.facts import Facts, HostFact, WorkloadFact
from lab.controlplane.page.html import Element, Node, element
from lab.controlplane.pilot_metrics import short
from lab.controlplane.services import Service
from lab.controlplane.subscription import Watch
from lab.controlplane.syncz import status
from lab.controlplane.timestamps import rfc3339

LISTED: Final = 8
"""Endpoints, labels or ports in one cell; how many more there are is said."""

LONGEST: Final = 600
"""Characters of a reason; Envoy's may be long, and the rest of it is in /debug/syncz."""

_STATES: Final = {
    "SYNCED": "good",
    "healthy": "good",
    "STALE": "wait",
    "NOT SENT": "wait",
    "not reported": "wait",
    "ERROR": "bad",
    "unhealthy": "bad",
}

HOSTS: Final = ("Address", "Proxy", "Workloads", "Endpoint of")
WORKLOADS: Final = ("Workload", "Address", "Health", "Registered", "Account", "Labels")
SERVICES: Final = ("Host", "Address", "Ports", "Endpoints", "Said by")
PROXIES: Final = ("Proxy", "Identity", "Type", "State", "Accepted", "Nonce", "Refused")

Row = tuple[Node, ...]
"""Its cells; one that is a ``td`` already spans several rows."""


def host(each: HostFact) -> list[Row]:
    return [(_code(each.address), _lines(each.proxies), _lines(each.workloads), _lines(each.endpoints_of))]


def workload(each: WorkloadFact) -> list[Row]:
    health: list[Node] = [_state(each.health)]
    if each.reason:
        health.append(element("div", cut(each.reason)))
    by = [f"by group {each.group}"] if each.group else ["written down"] if each.kind != "Pod" else []
    if each.connected:
        by.append(f"{'disconnected' if each.gone else 'connected'} {_seconds(each.connected)}")
    labels = [f"{key}={value}" for key, value in each.labels.items()]
    return [
        (
            _named(each.kind, f"{each.namespace}/{each.name}"),
            _code(each.address),
            element("div", *health),
            _lines(by),
            each.account or "",
            _lines(labels, code=True),
        )
    ]


def service(each: Service, facts: Facts) -> list[Row]:
    about = each.document.metadata
    where = [_code(address) for address in each.addresses]
    if each.allocated:
        where.append(
            element("div", _code(" ".join(each.allocated)), " ", element("span", "allocated", class_="dim"))
        )
    ports = [f"{port.number} {port.protocol}" + (f" {port.name}" * bool(port.name)) for port in each.ports]
    return [
        (
            element("div", each.host),
            element("div", *where),
            _lines(ports),
            _endpoints(each, facts),
            _named(each.document.KIND, f"{about.namespace}/{about.name}", str(each.resolution)),
        )
    ]


def proxy(each: Connection) -> list[Row]:
    """A row for each type it asked for."""
    about, watches = each.proxy, each.session.watches
    order = [url for url in type_urls.PUSH_ORDER if url in watches]
    order += [url for url in watches if url not in order]
    span = str(max(len(order), 1))
    first: Row = (
        element(
            "td",
            element("div", about.name),
            element("div", _code(" ".join(about.ips))),
            element("div", f"{about.role}, Istio {about.istio_version}, {each.variant.name}", class_="dim"),
            rowspan=span,
        ),
        element(
            "td",
            element("div", str(each.caller.identity)),
            element("div", f"by {each.caller.by}, since {rfc3339(each.since)}", class_="dim"),
            rowspan=span,
        ),
    )
    rows = [_type(url, watches[url], each.sent.get(url)) for url in order]
    rows = rows or [("", _state("NOT SENT"), "", "", "")]
    return [(*first, *rows[0]), *rows[1:]]


def _type(url: str, watch: Watch, sent: Sent | None) -> Row:
    known = short(url)
    return (
        element("span", known.upper() if known != url else url, title=url),
        _state(status(watch, sent)),
        _code(watch.accepted),
        _code(watch.accepted_nonce),
        cut(f"{watch.rejected}: {watch.reason}" if watch.rejected else ""),
    )


def cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _endpoints(service: Service, facts: Facts) -> Node:
    found = facts.endpoints(service)
    if not found:
        return element("span", "by name" if service.resolution.by_name else "none", class_="dim")
    ports = service.ports[:1]
    lines: list[Node] = []
    for each in found[:LISTED]:
        number = each.port(ports[0]) if ports else None
        line: list[Node] = [_code(f"{each.address}:{number}" if number and each.is_ip else each.address)]
        if each.name:
            line += [" ", element("span", each.name, class_="dim")]
        if each.weight != 1:
            line += [" ", element("span", f"weight {each.weight}", class_="dim")]
        if not each.serving:
            line += [" ", element("span", "not serving", class_="bad")]
        lines.append(element("div", *line))
    if len(found) > LISTED:
        lines.append(element("div", f"and {len(found) - LISTED} more", class_="dim"))
    return element("div", *lines)


def _seconds(instant: str) -> str:
    """Without the fraction."""
    whole, _, fraction = instant.partition(".")
    return f"{whole}Z" if fraction else whole


def _named(kind: str, *lines: str) -> Element:
    return element(
        "div", *(element("div", each) for each in lines[:1]),
        *(element("div", each, class_="dim") for each in (kind, *lines[1:])),
    )  # fmt: skip


def _lines(texts: Iterable[str], *, code: bool = False) -> Element:
    every = list(texts)
    lines = [element("div", _code(each) if code else each) for each in islice(every, LISTED)]
    if len(every) > LISTED:
        lines.append(element("div", f"and {len(every) - LISTED} more", class_="dim"))
    return element("div", *lines)


def _code(text: str) -> Node:
    return element("code", text) if text else ""


def _state(word: str) -> Element:
    return element("span", word, class_=_STATES.get(word, "dim"))
