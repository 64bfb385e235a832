"""DestinationRules: which one counts for a service and a proxy, and which part of it for a port or a subset.

Owns:      the merge of several rules for one host, the order in which namespaces are asked, the precedence of
           port over rule and of subset over both.
Does not:  know Envoy (clusters.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from lab.controlplane.hosts import absolute, closest
from lab.controlplane.kinds.destination_rule import DestinationRule, Subset, TrafficPolicy
from lab.controlplane.kinds.metadata import shown_to
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.services import Service
from lab.controlplane.workloads import selects

_ByHost = dict[str, list[DestinationRule]]

NO_POLICY: Final = TrafficPolicy()


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one world. Each by namespace."""

    every: Mapping[str, _ByHost]
    private: Mapping[str, _ByHost]
    """Those that are shown to their own namespace alone."""
    exported: Mapping[str, _ByHost]
    root_namespace: str

    @classmethod
    def of(cls, world: World, mesh: Mesh) -> "Rules":
        every: defaultdict[str, _ByHost] = defaultdict(dict)
        private: defaultdict[str, _ByHost] = defaultdict(dict)
        exported: defaultdict[str, _ByHost] = defaultdict(dict)
        for rule in sorted(world.all(DestinationRule), key=_age):
            namespace = rule.metadata.namespace
            host = absolute(rule.host, namespace, mesh.dns_domain)
            for found in (every, private if rule.export_to == (".",) else exported):
                _merge(found[namespace].setdefault(host, []), rule)
        return cls(dict(every), dict(private), dict(exported), mesh.root_namespace)

    def inbound(self, service: Service, proxy: Proxy) -> DestinationRule | None:
        """For what arrives: rules for chosen workloads do not count."""
        return self.outbound(service, replace(proxy, labels={}))

    def outbound(self, service: Service, proxy: Proxy) -> DestinationRule | None:
        """The client's namespace is asked first, then the service's, then the root namespace. Of a client in
        the root namespace, as gateways are, only private rules come before the service's: the others there
        are meant for the whole mesh."""
        root = self.root_namespace
        own = (self.private if proxy.namespace == root else self.every).get(proxy.namespace, {})
        found = _for_host(own, service.host)
        if found:
            return _chosen(found, proxy, own=True)
        for namespace in (service.namespace, root):
            shown = [
                each
                for each in _for_host(self.exported.get(namespace, {}), service.host)
                if shown_to(each.export_to, own=namespace, namespace=proxy.namespace)
            ]
            if shown:
                return _chosen(shown, proxy, own=namespace == proxy.namespace)
        return None


def _for_host(by_host: _ByHost, host: str) -> list[DestinationRule]:
    found = host if host in by_host else closest(host, by_host)
    return by_host[found] if found else []


def _age(rule: DestinationRule) -> tuple[str, str, str]:
    return rule.metadata.created, rule.metadata.name, rule.metadata.namespace


def _merge(into: list[DestinationRule], rule: DestinationRule) -> None:
    """Rules for one host, for the same proxies: the older one wins, the younger adds what it does not say."""
    for index, older in enumerate(into):
        if set(older.export_to) == set(rule.export_to) and older.selector == rule.selector:
            named = {each.name for each in older.subsets}
            more = tuple(each for each in rule.subsets if each.name not in named)
            into[index] = replace(older, subsets=older.subsets + more, policy=older.policy or rule.policy)
            return
    into.append(rule)


def _chosen(rules: Iterable[DestinationRule], proxy: Proxy, *, own: bool) -> DestinationRule | None:
    """A rule for workloads with the proxy's labels before one for all."""
    general = None
    for rule in rules:
        if rule.selector is None:
            general = rule
        elif own and proxy.labels and selects(rule.selector, proxy.labels):
            return rule
    return general


def of_port(policy: TrafficPolicy | None, port: int) -> TrafficPolicy:
    """What a policy says about one port: what it says about it alone, and then nothing else of it."""
    if policy is None:
        return NO_POLICY
    return policy.ports.get(port) or replace(policy, ports={})


def of_subset(rule: DestinationRule | None, subset: Subset | None, port: int) -> TrafficPolicy:
    whole = of_port(rule.policy if rule else None, port)
    if subset is None or subset.policy is None:
        return whole
    own = of_port(subset.policy, port)
    return TrafficPolicy(
        load_balancer=own.load_balancer or whole.load_balancer,
        connection_pool=own.connection_pool or whole.connection_pool,
        outlier=own.outlier or whole.outlier,
        tls=own.tls or whole.tls,
    )
