"""Which names an entry of the name table answers to. Text in, text out.

Owns:      short forms of Kubernetes services, and who wins when two entries claim one name.
Does not:  keep addresses or bytes (table.py). Search domains are resolved at lookup, so they are not here
           either.

Where this is stricter than Istio's agent: the domain must match at a dot (``xsvc.cluster.local`` is another
domain), a trailing dot never loses a name, and ``*`` alone is refused because it would answer for the whole
Internet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from vmagent.xds.names import KUBERNETES, NameEntry


class Claim(IntEnum):
    """How strong a claim is. The lower wins; equal claims are decided by the host's alphabetical order, so
    that every VM, and the same VM after a restart, gives the same answer.
    """

    HOST = 0
    SHORT = 1
    ALTERNATIVE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where in the cluster this VM lives, which decides what may be left out of a name."""

    namespace: str
    suffix: str
    """``svc.cluster.local``; empty: there are no short forms."""

    @classmethod
    def parse(cls, *, namespace: str, domain: str) -> Self:
        """``domain`` may begin with the namespace, as Istio's ``--domain`` does."""
        suffix = plain(domain)
        head, _, rest = suffix.partition(".")
        return cls(namespace=namespace.lower(), suffix=rest if head == namespace.lower() else suffix)


def plain(name: str) -> str:
    """The one spelling used for comparison: lower case, no dot at the end."""
    return name.strip().rstrip(".").lower()


def claims(host: str, entry: NameEntry, home: Home) -> Iterator[tuple[Claim, str]]:
    """Every name that ``entry`` answers to, without trailing dots. A leading ``*.`` is a wildcard."""
    full = plain(host)
    if full and full != "*":
        yield Claim.HOST, full
    if entry.registry != KUBERNETES or not home.suffix or not full.endswith(f".{home.suffix}"):
        return
    short, namespace = plain(entry.shortname), plain(entry.namespace)
    if short and namespace:
        yield Claim.SHORT, f"{short}.{namespace}"
        yield Claim.SHORT, f"{short}.{namespace}.{home.suffix.partition('.')[0]}"
        if namespace == home.namespace:
            yield Claim.SHORT, short
    for other in filter(None, map(plain, entry.alt_hosts)):
        if other != "*":
            yield Claim.ALTERNATIVE, other
