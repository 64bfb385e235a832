"""Clusters: whom a proxy knows, how it finds their endpoints, and which DestinationRule says more."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lab.proxyconfig.dump import Json, clusters, text
from lab.proxyconfig.origin import origin

HEADING: Final = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")
GAP: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """``outbound|80|v1|nginx.jd.com``; of any other name all is ``host``."""

    host: str
    port: str = ""
    subset: str = ""
    direction: str = ""

    @classmethod
    def parse(cls, name: str) -> "Name":
        parts = name.split("|")
        if len(parts) < 4:
            return cls(host=name)
        return cls(direction=parts[0], port=parts[1], subset=parts[2], host=parts[3])

    @property
    def order(self) -> tuple[str, str, int, str]:
        return self.host, self.subset, int(self.port) if self.port.isdecimal() else 0, self.direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is empty filters nothing. A part of a name is enough, as with istioctl; a port is the whole."""

    fqdn: str = ""
    port: int = 0
    subset: str = ""
    direction: str = ""

    def takes(self, name: str) -> bool:
        about = Name.parse(name)
        return (
            self.fqdn in about.host
            and self.subset in about.subset
            and self.direction in about.direction
            and (not self.port or about.port == str(self.port))
        )


def chosen(dump: Json, wanted: Filter) -> list[Json]:
    found = [each for each in clusters(dump) if wanted.takes(text(each, "name"))]
    return sorted(found, key=lambda each: Name.parse(text(each, "name")).order)


def rows(found: Iterable[Json]) -> Iterator[tuple[str, ...]]:
    """Heading first."""
    yield HEADING
    for cluster in found:
        name = Name.parse(text(cluster, "name"))
        said = (name.port, name.subset, name.direction)
        yield (name.host, *(each or "-" for each in said), kind(cluster), origin(cluster))


def kind(cluster: Json) -> str:
    """How its endpoints are found. STATIC is what Envoy leaves unsaid."""
    return text(cluster, "type") or text(cluster, "cluster_type", "name") or "STATIC"
