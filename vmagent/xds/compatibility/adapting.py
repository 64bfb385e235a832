"""Adapts resources to one Envoy: the door of this room.

Owns:      what becomes of a resource on its way to Envoy, and the account of what was taken out and refused.
Does not:  keep earlier versions: whoever delivers resources holds the last good ones and hands them in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Self

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.xds.compatibility.account import Account
from vmagent.xds.compatibility.alpn import Alpn
from vmagent.xds.compatibility.catalogue import ALPN, METADATA_EXCHANGE, Extension
from vmagent.xds.compatibility.clusters import Clusters
from vmagent.xds.compatibility.loadable import Loadable
from vmagent.xds.compatibility.places import RESOURCES
from vmagent.xds.compatibility.repeats import Repeats
from vmagent.xds.compatibility.rewriting import Indispensable, Rewriting
from vmagent.xds.compatibility.scanning import Scan

MOST_TOLD: Final = 20
"""Resources whose refusal the control plane is told with the reason."""

REMEDY: Final = "change the policy that asks for it, or run an Envoy that has it"


@dataclass(frozen=True, slots=True)
class Refusal:
    """This Envoy cannot have the resource: ``reason`` is for the control plane and the operator."""

    reason: str


@dataclass(frozen=True, slots=True)
class Adaptation:
    """``resources`` are what Envoy gets: the very mapping that was handed in where nothing changed.
    ``refused`` are the names of those it cannot have, with the reason; in their places stand the last good
    ones, where there are some.
    """

    resources: Mapping[str, bytes]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def objection(self) -> str:
        """What the control plane is told; empty if there is nothing to object to. istiod takes no message of
        more than 4 MiB.
        """
        first = [f"{name}: {why}" for name, why in islice(self.refused.items(), MOST_TOLD)]
        more = len(self.refused) - len(first)
        return "; ".join([*first, f"and {more} more"] if more else first)


class Compatibility:
    """What one Envoy can load. One event loop only."""

    def __init__(self, loadable: Loadable) -> None:
        missing = loadable.missing
        alpn = Alpn(lost=missing.issuperset(METADATA_EXCHANGE.types))
        self._scan = Scan(loadable)
        self._rewriting = Rewriting(loadable, alpn, self._took)
        self._clusters = Clusters(self._rewriting, alpn, silent=missing.issuperset(ALPN.types))
        self._repeats = Repeats(self._or_none)
        self._type_url = ""
        self.account = Account()

    @classmethod
    def of(cls, node: wire.Node) -> Self:
        """From the node in Envoy's first request, which lists every extension compiled in. One that lists
        none is taken to load everything.
        """
        return cls(Loadable.of(node))

    @classmethod
    def untold(cls) -> Self:
        """No Envoy has said yet what it can load."""
        return cls.of(wire.Node())

    def adapt(
        self,
        type_url: str,
        resources: Mapping[str, bytes],
        good: Mapping[str, bytes],
        *,
        whole: bool = False,
    ) -> Adaptation:
        """All of one response. ``good`` are the last versions that an Envoy has accepted; ``whole``: there
        are no resources of this type but these.
        """
        if type_url not in RESOURCES:
            return Adaptation(resources)
        changed: dict[str, bytes] = {}
        refused: dict[str, str] = {}
        for name, value in resources.items():
            adapted = self.resource(type_url, value)
            if isinstance(adapted, Refusal):
                refused[name] = adapted.reason
                changed[name] = self._last_good(type_url, good.get(name, b""))
            elif adapted is not value:
                changed[name] = adapted
        self.account.looked_at(type_url, resources, refused, whole=whole)
        if not changed:
            return Adaptation(resources)
        left = {name: value for name, value in {**resources, **changed}.items() if value}
        return Adaptation(left, refused)

    def response(self, type_url: str, data: bytes, *, delta: bool) -> bytes | None:
        """A whole response, of state of the world or ``delta``, as this Envoy can load it: the same object
        where there is nothing to change, None where something is refused or vanishes. All but resources that
        changed since the last response is copied.
        """
        if type_url not in RESOURCES or not self._scan.suspicious(data):
            return data
        return self._repeats.rewrite(type_url, data, delta=delta)

    def resource(self, type_url: str, value: bytes) -> bytes | Refusal:
        """One resource as this Envoy can load it: the same object where there is nothing to change, empty
        where nothing is left of it. What cannot be read goes out as it came: Envoy rejects it, and
        the control plane hears of that.
        """
        kind = RESOURCES.get(type_url)
        if kind is None or not self._scan.suspicious(value):
            return value
        self._type_url = type_url
        try:
            if kind is wire.Cluster:
                return self._clusters.rewrite(value)
            return self._rewriting.part(kind, value) or b""
        except DecodeError:
            return value
        except Indispensable as why:
            return Refusal(f"{why}; {REMEDY}")

    def forget(self, type_url: str, names: Iterable[str]) -> None:
        """These resources are gone, and with them their refusals."""
        self.account.looked_at(type_url, names, {})

    def _or_none(self, type_url: str, value: bytes) -> bytes | None:
        adapted = self.resource(type_url, value)
        return None if isinstance(adapted, Refusal) else adapted

    def _last_good(self, type_url: str, value: bytes) -> bytes:
        return self._or_none(type_url, value) or b""

    def _took(self, extension: Extension) -> None:
        self.account.took(extension, self._type_url)
