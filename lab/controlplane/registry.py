"""What the mesh consists of: an immutable world of resources.

Does not:  say what they mean together (services.py, workloads.py), or know Envoy, proxies, files or the API.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from lab.controlplane import addresses
from lab.controlplane.addresses import Leases
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.resources import Resource

Key = tuple[str, str, str]
"""Kind, namespace, name."""

Kind = TypeVar("Kind", bound=Resource)


class AlreadyThere(ValueError):
    """Two documents describe the same thing; kubectl would have overwritten the first without a word."""


def key_of(resource: Resource) -> Key:
    return resource.KIND, resource.metadata.namespace, resource.metadata.name


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All resources, in order of appearance. Every change gives a new World; the old one stays as it was."""

    resources: Mapping[Key, Resource] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "World":
        """Raises `AlreadyThere` when two resources share kind, namespace and name."""
        return World().exchange((), resources)

    def get(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        return cast("Kind | None", self.resources.get((kind.KIND, namespace, name)))

    def all(self, kind: type[Kind], namespace: str | None = None) -> tuple[Kind, ...]:
        """In order of appearance; ``None`` is every namespace."""
        found = (each for each in self.resources.values() if isinstance(each, kind))
        return tuple(each for each in found if namespace is None or each.metadata.namespace == namespace)

    def add(self, resource: Resource) -> "World":
        return self.exchange((), (resource,))

    def replace(self, resource: Resource) -> "World":
        """The new version of a resource that is there; it keeps its place. Raises KeyError otherwise."""
        if key_of(resource) not in self.resources:
            raise KeyError(key_of(resource))
        return self.exchange((key_of(resource),), (resource,))

    def remove(self, key: Key) -> "World":
        """Raises KeyError when it is not there."""
        if key not in self.resources:
            raise KeyError(key)
        return self.exchange((key,), ())

    def exchange(self, old: Iterable[Key], new: Iterable[Resource]) -> "World":
        """From what a file held to what it holds now; what is in both keeps its place and its address."""
        gone, new = set(old), tuple(new)
        resources: dict[Key, Resource | None] = {
            **self.resources,
            **dict.fromkeys(gone & self.resources.keys()),
        }
        for resource in new:
            key = key_of(resource)
            if resources.get(key) is not None:
                raise AlreadyThere(
                    f"{key[0]} {key[1]}/{key[2]} is already there: give one of the two another name"
                )
            resources[key] = resource
        kept = {key: resource for key, resource in resources.items() if resource is not None}
        touched = gone | {key_of(each) for each in new}
        if all(_claim(self.resources.get(key)) == _claim(kept.get(key)) for key in touched):
            return replace(self, resources=kept)
        entries = [each for each in kept.values() if isinstance(each, ServiceEntry)]
        return replace(self, resources=kept, leases=addresses.renew(entries, self.leases))


def _claim(resource: Resource | None) -> tuple[object, ...] | None:
    return addresses.claim(resource) if isinstance(resource, ServiceEntry) else None
