"""What is accepted and has no effect, or another one than it looks: names that lead nowhere.

Owns:      the questions that one document alone does not answer.
Does not:  refuse anything: istiod does not either, and what is missing today may be there tomorrow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.controlplane.hosts import absolute, is_wildcard, matches
from lab.controlplane.kinds.destination import Destination
from lab.controlplane.kinds.destination_rule import DestinationRule
from lab.controlplane.kinds.gateway import Gateway
from lab.controlplane.kinds.kubernetes import Deployment
from lab.controlplane.kinds.virtual_service import MESH_GATEWAY, VirtualService
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.services import Service, services
from lab.controlplane.workloads import Workloads, selects


def without_effect(world: World, mesh: Mesh) -> list[str]:
    """One line each, which begins with the resource it is about."""
    found, problems = services(world, mesh)
    mesh_of = _Mesh(world, mesh, found)
    lines = [line for service in world.all(VirtualService) for line in mesh_of.of_virtual_service(service)]
    lines += [line for rule in world.all(DestinationRule) for line in mesh_of.of_rule(rule)]
    return [*problems, *dict.fromkeys(lines)]


@dataclass(frozen=True, slots=True)
class _Mesh:
    world: World
    mesh: Mesh
    services: tuple[Service, ...]

    def of_virtual_service(self, service: VirtualService) -> Iterator[str]:
        called = f"VirtualService {service.metadata.namespace}/{service.metadata.name}"
        namespace = service.metadata.namespace
        for written in service.hosts if MESH_GATEWAY in service.gateways else ():
            if "." not in written and not self._serves(self._full(written, namespace)):
                yield f"{called}: host {written} means {self._full(written, namespace)}{self._trap(written)}"
        for gateway in service.gateways:
            full = gateway if "/" in gateway else f"{namespace}/{gateway}"
            if gateway != MESH_GATEWAY and self.world.get(Gateway, *full.split("/", 1)) is None:
                yield f"{called}: there is no Gateway {full}: what is bound to it is bound to nothing"
        for to in _destinations(service):
            yield from self._of_destination(called, to, namespace)

    def of_rule(self, rule: DestinationRule) -> Iterator[str]:
        called = f"DestinationRule {rule.metadata.namespace}/{rule.metadata.name}"
        host = self._full(rule.host, rule.metadata.namespace)
        meant = [each for each in self.services if matches(host, each.host)]
        if not meant:
            yield f"{called}: no service has the host {host}"
        workloads = Workloads(self.world, self.mesh)
        for service in meant:
            behind = workloads.behind(service)
            for subset in rule.subsets:
                if behind and not any(selects(subset.labels, each.labels) for each in behind):
                    yield f"{called}: subset {subset.name} has none of the workloads of {service.host}"
            yield from self._of_deployments(called, service, rule)

    def _of_deployments(self, called: str, service: Service, rule: DestinationRule) -> Iterator[str]:
        """Pods that will be there: behind the service, and in none of its subsets."""
        for deployment in self.world.all(Deployment, service.namespace):
            chosen = service.selector is not None and selects(service.selector, deployment.labels)
            if (
                chosen
                and rule.subsets
                and not any(selects(s.labels, deployment.labels) for s in rule.subsets)
            ):
                name = deployment.metadata.name
                yield f"{called}: pods of Deployment {service.namespace}/{name} are in no subset"

    def _of_destination(self, called: str, to: Destination, namespace: str) -> Iterator[str]:
        host = self._full(to.host, namespace)
        if not self._serves(host):
            yield f"{called}: no service has the host {host}, to which it sends"
        elif to.subset and not any(
            each.name == to.subset
            for rule in self.world.all(DestinationRule)
            if matches(self._full(rule.host, rule.metadata.namespace), host)
            for each in rule.subsets
        ):
            yield f"{called}: no DestinationRule has the subset {to.subset} of {host}, to which it sends"

    def _serves(self, host: str) -> bool:
        return any(
            matches(host, each.host) if is_wildcard(each.host) else host == each.host
            for each in self.services
        )

    def _full(self, host: str, namespace: str) -> str:
        return absolute(host, namespace, self.mesh.dns_domain)

    def _trap(self, written: str) -> str:
        if self._serves(written):
            return (
                f", which no service has; the ServiceEntry's host {written} is another one, and goes on "
                "without it: give both a host with a dot"
            )
        return ", which no service has"


def _destinations(service: VirtualService) -> Iterator[Destination]:
    for http in service.http:
        yield from (each.destination for each in http.route)
        yield from (each.destination for each in http.mirrors)
    for connection in (*service.tls, *service.tcp):
        yield from (each.destination for each in connection.route)
