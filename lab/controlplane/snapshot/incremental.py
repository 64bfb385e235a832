"""From one snapshot to the next: what a change of the world makes anew, and what stays as it was.

Owns:      which parts of a snapshot follow from which parts of a world.
Does not:  build anything otherwise than build.py does: the same functions see a smaller world, and ``again``
           gives what ``first`` would have given.
Surprise:  clusters and endpoints are each one host's. Listeners and route tables are shared by hosts: they
           are made anew from all of the view, but only when something they show is different.
"""

import bisect
from collections.abc import Container, Iterable
from dataclasses import dataclass, fields, replace
from typing import Self

from lab.controlplane import type_urls
from lab.controlplane.kinds.kubernetes_service import KubernetesService
from lab.controlplane.kinds.service_entry import Resolution, ServiceEntry
from lab.controlplane.mesh import Allocation, Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.services import Service
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.affected import Affected, affected, hosts_of
from lab.controlplane.snapshot.build import (
    Resources,
    Snapshot,
    clusters_of,
    endpoints_of,
    listeners_of,
    names_of,
    of_view,
    routes_of,
    unserved_by,
)
from lab.controlplane.snapshot.precedence import in_order, rank
from lab.controlplane.snapshot.view import Seen, View, view


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A snapshot, and what it was made of."""

    world: World
    view: View
    snapshot: Snapshot


def first(world: World, proxy: Proxy, mesh: Mesh) -> Built:
    seen = view(world, proxy, mesh)
    return Built(world=world, view=seen, snapshot=of_view(seen))


def again(last: Built, world: World, mesh: Mesh) -> Built:
    """For the same proxy, what ``first`` would give now."""
    proxy = last.view.proxy
    changes = affected(last.world, world, mesh)
    if changes.everything or mesh != last.view.mesh or mesh.allocation is not Allocation.NEXT_FREE:
        return first(world, proxy, mesh)
    if not changes.hosts and not changes.routing:
        return replace(last, world=world)
    hosts = changes.hosts | last.view.own_hosts
    # A document with several hosts brings in hosts of which it is not the only one.
    part = _restricted(view(_only(world, hosts, mesh), proxy, mesh), hosts)
    if part.problems or last.view.problems:
        return first(world, proxy, mesh)  # they count the whole mesh
    whole = _spliced(last.view, part, hosts)
    gone = [each for each in last.view.listened if each.service.host in hosts]
    gone += [seen for host in hosts if (seen := last.view.by_host.get(host)) is not None]
    resources = {
        **last.snapshot.resources,
        **_by_host(last, part, gone),
        **_shared(last.view, whole, _Difference.between(changes, gone, part)),
    }
    return Built(
        world=world,
        view=whole,
        snapshot=Snapshot.of_resources(resources, whole.warnings, last.snapshot, unserved_by(whole)),
    )


def _restricted(whole: View, hosts: Container[str]) -> View:
    """What it says about these hosts, and about everything that is no host's."""
    return replace(
        whole,
        listened=tuple(each for each in whole.listened if each.service.host in hosts),
        services=tuple(each for each in whole.services if each.service.host in hosts),
        lost=tuple(each for each in whole.lost if each[0] in hosts),
    )


def _spliced(old: View, part: View, hosts: Container[str]) -> View:
    """``old`` with what ``part`` says about these hosts, of which it saw every document, and about everything
    that is no host's. What is said about one host depends on no other's."""
    listened = [each for each in old.listened if each.service.host not in hosts]
    for each in part.listened:
        bisect.insort(listened, each, key=lambda one: _place(one.service, old.proxy))
    by_host = {**old.by_host, **part.by_host}
    order = dict.fromkeys(each.service.host for each in listened)
    return replace(
        part,
        listened=tuple(listened),
        services=tuple(by_host[host] for host in order),
        lost=in_order((*(each for each in old.lost if each[0] not in hosts), *part.lost)),
    )


def _place(service: Service, proxy: Proxy) -> tuple[tuple[int, tuple[str, str, str, str]], bool]:
    """Among all, as view.py orders them: of two that are otherwise alike the entry comes first."""
    return rank(service, proxy), service.kubernetes


def _only(world: World, hosts: Container[str], mesh: Mesh) -> World:
    """Of the services those that claim one of these hosts; of everything else all."""
    return replace(
        world,
        resources={
            key: each
            for key, each in world.resources.items()
            if not isinstance(each, ServiceEntry | KubernetesService)
            or any(host in hosts for host in hosts_of(each, mesh))
        },
    )


def _by_host(last: Built, part: View, gone: Iterable[Seen]) -> dict[str, Resources]:
    """Clusters and endpoints: without those of services that are no more or were something else."""
    outdated = [names.inbound(own.number) for own in last.view.own]
    for seen in gone:
        subsets = ("", *(each.name for each in seen.rule.subsets)) if seen.rule else ("",)
        for port in seen.service.ports:
            outdated += [names.outbound(port.number, seen.host, each) for each in subsets]
    found: dict[str, Resources] = {}
    for type_url, made in ((type_urls.CLUSTER, clusters_of), (type_urls.ENDPOINT, endpoints_of)):
        resources = dict(last.snapshot.of(type_url))
        for name in outdated:
            resources.pop(name, None)
        found[type_url] = {**resources, **made(part)}
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """What is another one for those who show several hosts."""

    hosts: bool
    routing: bool

    @classmethod
    def between(cls, changes: Affected, gone: Iterable[Seen], part: View) -> Self:
        before = [_shape(each) for each in gone if each.service.host in changes.hosts]
        come = (*part.listened, *part.services)
        now = [_shape(each) for each in come if each.service.host in changes.hosts]
        return cls(hosts=before != now, routing=changes.routing)


def _shared(old: View, new: View, different: _Difference) -> dict[str, Resources]:
    """The types of which a resource shows several hosts, as far as one may have changed."""
    found: dict[str, Resources] = {}
    if different.hosts or different.routing:
        found[type_urls.ROUTE] = routes_of(new)
    if different.hosts or different.routing or old.own != new.own or old.targets != new.targets:
        found[type_urls.LISTENER] = listeners_of(new)
    if different.hosts:
        found[type_urls.NAME_TABLE] = names_of(new)
    return found


def _shape(seen: Seen) -> tuple[object, ...]:
    """A service as listeners, routes and names see it: without endpoints, except where clients go to
    endpoints directly."""
    direct = seen.service.resolution is Resolution.NONE
    said = (getattr(seen.service, each.name) for each in fields(Service) if each.name != "document")
    return seen.address, seen.more_addresses, seen.rule, seen.instances if direct else (), *said
