"""What one stream has asked for of one type, and what it was last given: the part both variants share.

Owns:      which resources a subscription gets out of a snapshot, the record of what was acknowledged and
           refused, and which type must follow which.
Does not:  know how requests change a subscription and responses are cut (sotw.py, delta.py), nor streams,
           clocks or tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot import Snapshot, Versions
from lab.controlplane.snapshot.packing import pack

FOLLOWERS: Final[Mapping[str, str]] = {
    type_urls.CLUSTER: type_urls.ENDPOINT,
    type_urls.LISTENER: type_urls.ROUTE,
}
"""Envoy warms a changed cluster until its endpoints arrive, and a changed listener until its routes do, and
then asks with the same names and nonce, which looks like an acknowledgement. So the follower is always sent
along."""

EVERYTHING: Final = "*"
"""The name that spells out what no names at all mean too."""

NONE_SUCH: Final = ""
"""The version of a resource that was asked for by name and that nobody serves."""

MAX_OFFERS: Final = 32
"""Responses of one type that may be unanswered before the oldest is forgotten. A client that is this far
behind will answer a newer one; only the record of what it accepted loses an entry."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """One type of one stream."""

    type_url: str
    names: tuple[str, ...] = ()
    """Asked for by name."""
    everything: bool = False
    """Asked for whatever there is, which only the wildcard types grant."""
    nonce: str = ""
    """Of the newest response."""
    sent: dict[str, str] = field(default_factory=dict)
    """Name to version of what the client was told last, as far as it still asks for it."""
    offers: dict[str, str] = field(default_factory=dict)
    """Nonce to version of responses that nobody answered yet, oldest first."""
    accepted: str = ""
    """Version of the last response that was acknowledged."""
    accepted_nonce: str = ""
    rejected: str = ""
    """Version of the last response that was refused, and why, until a later one is accepted."""
    reason: str = ""

    def wanted(self, snapshot: Snapshot) -> Versions:
        """What this subscription is about, name by name; NONE_SUCH where nobody serves the name."""
        served = snapshot.digests_of(self.type_url)
        if self.everything and not self.names:
            return served
        named = {name: served.get(name) or snapshot.version(self.type_url, name) for name in self.names}
        return {**named, **served} if self.everything else named

    def offer(self, nonce: str, version: str) -> None:
        self.nonce = nonce
        self.offers[nonce] = version
        if len(self.offers) > MAX_OFFERS:
            del self.offers[next(iter(self.offers))]

    def answer(self, nonce: str, error: str | None) -> str | None:
        """The version this is about; None for an answer to something that was never offered on this
        stream."""
        version = self.offers.pop(nonce, None)
        if version is None:
            return None
        if error is None:
            self.accepted, self.accepted_nonce = version, nonce
            self.rejected, self.reason = "", ""
        else:
            self.rejected, self.reason = version, error
        return version


def nothing_behind(cluster: str) -> any_pb2.Any:
    """A cluster nobody knows has no endpoints, which is an answer: Envoy waits for one."""
    return pack(ClusterLoadAssignment(cluster_name=cluster))
