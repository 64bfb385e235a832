"""What one stream has asked for of one type, and what it was last given: the part every ADS codec shares.

Owns:      which resources a subscription gets out of a snapshot, and which type must follow which.
Does not:  know how a codec writes requests and responses (session.py is state of the world; delta is a
           second one beside it), nor streams, clocks or tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot import Resources, Snapshot
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

MAX_OFFERS: Final = 32
"""Responses of one type that may be unanswered before the oldest is forgotten. A client that is this far
behind will answer a newer one; only the record of what it accepted loses an entry."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """One type of one stream."""

    type_url: str
    names: tuple[str, ...] = ()
    """Empty means everything for a wildcard type and nothing for the others."""
    nonce: str = ""
    """Of the newest response; an answer to any other does not change the subscription."""
    sent: Resources | None = None
    offers: dict[str, str] = field(default_factory=dict)
    """Nonce to version of responses that nobody answered yet, oldest first."""
    accepted: str = ""
    """Version of the last response that was acknowledged."""
    rejected: str = ""
    """Version of the last response that was refused, and why, until a later one is accepted."""
    reason: str = ""

    def subscribe(self, names: tuple[str, ...]) -> None:
        """What is no longer asked for was never sent, as far as later changes are concerned."""
        self.names = names
        if self.sent is not None and names and EVERYTHING not in names:
            self.sent = {name: self.sent[name] for name in names if name in self.sent}

    def offer(self, nonce: str, version: str, resources: Resources) -> None:
        self.nonce, self.sent = nonce, resources
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
            self.accepted, self.rejected, self.reason = version, "", ""
        else:
            self.rejected, self.reason = version, error
        return version

    def content(self, snapshot: Snapshot) -> Resources:
        """What this subscription gets. A cluster nobody knows has no endpoints, which is an answer; a route
        nobody knows is left out, since leaving it out is how Envoy is told that there is none."""
        resources = snapshot.of(self.type_url)
        if self.type_url in type_urls.WILDCARD and (not self.names or EVERYTHING in self.names):
            return resources
        if self.type_url == type_urls.ENDPOINT:
            return {name: resources.get(name) or _nothing_behind(name) for name in self.names}
        return {name: resources[name] for name in self.names if name in resources}


def _nothing_behind(cluster: str) -> any_pb2.Any:
    return pack(ClusterLoadAssignment(cluster_name=cluster))
