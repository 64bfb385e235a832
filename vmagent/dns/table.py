"""What the mesh calls things, as one immutable value with its answers already in wire form.

Owns:      lookup of a question against the names the control plane published, and the bytes of the answer.
Does not:  ask anybody (upstream.py), decide who claims a name (names.py).
Surprise:  records are built before the question is known, since their owner is a pointer to it; so all names
           of one entry share one answer. And a name we know without an address of the asked family is *no
           data*, never *no such name*: resolvers cache the latter and would stop asking for the other family.

Where this is better than Istio's agent: NODATA carries an SOA, so that it is cached as briefly as an
address; every search domain is expanded, not only the first, and an expansion never hides a name that really
exists; the answer echoes EDNS; types other than addresses are not sent upstream for names that only the mesh
knows, and HTTPS/SVCB for no name of the mesh, whose hints would lead clients past the addresses that the
mesh gave.
"""

import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

from vmagent.dns import message
from vmagent.dns.message import IN, POINTER, Body, Query, Type
from vmagent.dns.names import Claim, Home, claims
from vmagent.xds.names import KUBERNETES, NameEntry, NameTable, in_order

TTL: Final = 30
"""Seconds, as in Istio's agent: how long a client may go on with an address that the mesh has taken back."""

_TTL = TTL.to_bytes(4, "big")
_A_IN, _AAAA_IN = b"\0\1\0\1", b"\0\x1c\0\1"
_OPT_START = b"\0\0\x29"
_SOA_DATA = POINTER + b"\0" + (1).to_bytes(4, "big") + _TTL * 4
_SOA_TAIL = b"\0\6\0\1" + _TTL + len(_SOA_DATA).to_bytes(2, "big") + _SOA_DATA
NO_DATA: Final = Body(counts=b"\0\0\0\1", records=POINTER + _SOA_TAIL)
"""The SOA says that the name is a zone of its own; its last field, like the record's TTL, is how long the
NODATA may be cached (RFC 2308).
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The records of one family in one entry, never empty."""

    body: Body
    """All of them, in the order of the table."""
    each: tuple[bytes, ...]
    """One by one, for shuffling; empty if there is only one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one entry says; shared by all its names."""

    a: Addresses | None
    aaaa: Addresses | None
    mesh_only: bool
    """Nobody outside knows the name: a service of Kubernetes. A ServiceEntry may be about a host that exists
    outside, with records of other types, and the table does not tell.
    """


_Names = dict[bytes, Answer]
"""In wire form. While the table is built as well: ten thousand names as text would leave holes in memory."""


@dataclass(frozen=True, slots=True)
class Found:
    answer: Answer
    target: bytes = b""
    """Not empty: the question was this name plus a search domain, and a CNAME says so."""


class Table:
    """Immutable. Readers in another thread swap it by one assignment."""

    __slots__ = ("_exact", "_wildcards", "entries", "skipped")

    def __init__(
        self, exact: dict[bytes, Answer], wildcards: dict[bytes, Answer], *, entries: int, skipped: int
    ) -> None:
        self._exact = exact
        self._wildcards = wildcards
        self.entries = entries
        self.skipped = skipped
        """Entries without a usable address and names that are none: those are asked upstream."""

    @classmethod
    def build(cls, table: NameTable, home: Home) -> Self:
        """Never fails: what cannot be understood is left out and counted."""
        ranks: dict[Claim, tuple[_Names, _Names]] = {claim: ({}, {}) for claim in Claim}
        entries = skipped = 0
        for host, entry in in_order(table):
            answer = _answer(entry)
            if answer is None:
                skipped += 1
                continue
            entries += 1
            for claim, name in claims(host, entry, home):
                stem = name.removeprefix("*.")
                try:
                    key = message.encode_name(stem)
                except ValueError:
                    skipped += 1
                    continue
                exact, wildcards = ranks[claim]
                (exact if stem is name else wildcards).setdefault(key, answer)
        exact, wildcards = {}, {}
        for claim in sorted(Claim, reverse=True):
            stronger = ranks.pop(claim)
            exact |= stronger[0]
            wildcards |= stronger[1]
        return cls(exact, wildcards, entries=entries, skipped=skipped)

    def fast(self, packet: bytes) -> bytes | None:
        """The whole reply to a UDP packet of the usual shape that asks for an address of a known name, else
        None.

        Everything this refuses goes the long way, ``message.read`` and ``reply``, with the same result.
        """
        head = _HEADS.get(packet[2:12])
        if head is None:
            return None
        end = packet.find(b"\0", 12) + 1
        answer = self._exact.get(packet[12:end].lower())
        if answer is None:
            return None
        stop = end + 4
        kind = packet[end:stop]
        if kind == _A_IN:
            family = answer.a
        elif kind == _AAAA_IN:
            family = answer.aaaa
        else:
            return None
        body, each = (family.body, family.each) if family is not None else (NO_DATA, ())
        start, additional, edns = head
        if edns:
            opt = packet[stop:]
            # Version 0, and no byte more or less than the record says; in any other case the long way
            # decides.
            if opt[:3] != _OPT_START or len(opt) < 11 or opt[6] or len(opt) != 11 + (opt[9] << 8 | opt[10]):
                return None
            limit, tail = opt[3] << 8 | opt[4], _OPTS[opt[7] >> 7]
        else:
            limit, tail = message.PLAIN_UDP, b""
        records = body.records
        size = stop + len(records) + len(tail)
        if size > limit and size > message.PLAIN_UDP:
            return None
        if each:
            records = b"".join(random.sample(each, len(each)))
        return packet[:2] + start + body.counts + additional + packet[12:stop] + records + tail

    def find(self, name: bytes, search: Iterable[bytes]) -> Found | None:
        """``name`` in wire form and lower case; ``search``: the host's search domains, in wire form.

        The name itself, the name without a search domain (so that a resolver's first try, ``NAME.SEARCH``,
        is answered here and now), then wildcards, the most specific first and at any depth.
        """
        known, at = self._exact, 0
        while name[at]:
            rest = name[at:]
            answer = known.get(rest)
            if answer is not None:
                return Found(answer)
            for suffix in search:
                if rest.endswith(suffix) and len(rest) > len(suffix):
                    answer = known.get(rest[: -len(suffix)] + b"\0")
                    target = name[: -len(suffix)] + b"\0"
                    # A name already below the search domain is complete: nobody means NAME.SEARCH.SEARCH.
                    if answer is not None and not target.endswith(suffix):
                        return Found(answer, target)
            known, at = self._wildcards, at + name[at] + 1
        return None


def reply(query: Query, found: Found) -> bytes | None:
    """The mesh's reply; None if the question is one for the outside, although the mesh knows the name."""
    if query.qclass != IN:
        return None
    if query.edns and query.edns.version:
        return message.bad_version(query)
    answer = found.answer
    if query.qtype == Type.A:
        family = answer.a
    elif query.qtype == Type.AAAA:
        family = answer.aaaa
    elif query.qtype == Type.ANY:  # one of the sets is enough (RFC 8482, 4.1)
        family = answer.a or answer.aaaa
    elif answer.mesh_only or query.qtype in (Type.HTTPS, Type.SVCB, Type.CNAME):
        family = None
    else:
        return None
    alias, owner = b"", POINTER
    if found.target:
        alias = POINTER + b"\0\5\0\1" + _TTL + len(found.target).to_bytes(2, "big") + found.target
        target_at = message.HEADER + len(query.question) + len(alias) - len(found.target)
        owner = (0xC000 | target_at).to_bytes(2, "big")
    if query.qtype == Type.CNAME and alias:
        return message.reply(query, Body(counts=b"\0\1\0\0", records=alias))
    if family is None:
        counts = b"\0\1\0\1" if alias else NO_DATA.counts
        return message.reply(query, Body(counts=counts, records=alias + owner + _SOA_TAIL))
    return _addresses(query, family, alias, owner)


def _addresses(query: Query, family: Addresses, alias: bytes, owner: bytes) -> bytes:
    each = family.each or (family.body.records,)
    fitting = max(0, message.room(query) - len(alias)) // len(each[0])
    chosen = random.sample(each, min(fitting, len(each)))
    count = (len(chosen) + bool(alias)).to_bytes(2, "big")
    records = alias + b"".join(owner + record[2:] for record in chosen)
    return message.reply(query, Body(counts=count + b"\0\0", records=records), cut=len(chosen) < len(each))


def _answer(entry: NameEntry) -> Answer | None:
    a = _family(entry.ips, socket.AF_INET, b"\0\1")
    aaaa = _family(entry.ips, socket.AF_INET6, b"\0\x1c")
    if a is None and aaaa is None:
        return None
    return Answer(a, aaaa, entry.registry == KUBERNETES)


def _family(ips: Iterable[str], family: int, kind: bytes) -> Addresses | None:
    records = []
    for ip in ips:
        try:
            raw = socket.inet_pton(family, ip)
        except (OSError, ValueError):
            continue
        records.append(POINTER + kind + b"\0\1" + _TTL + len(raw).to_bytes(2, "big") + raw)
    if not records:
        return None
    unique = tuple(dict.fromkeys(records))
    body = Body(counts=_counts(len(unique)), records=b"".join(unique))
    return Addresses(body, unique if len(unique) > 1 else ())


@cache
def _counts(answers: int) -> bytes:
    """One object for all entries with so many: ten thousand small ones are half a megabyte."""
    return answers.to_bytes(2, "big") + b"\0\0"


def _heads() -> dict[bytes, tuple[bytes, bytes, bool]]:
    """Flags and counts of every usual query, to: flags and QDCOUNT of its reply, ARCOUNT, has it an OPT."""
    heads = {}
    for rd in (0, 1):
        for low in (0, 0x10, 0x20, 0x30):  # AD, CD
            for edns in (False, True):
                additional = b"\0\1" if edns else b"\0\0"
                asked = bytes((rd, low)) + b"\0\1\0\0\0\0" + additional
                heads[asked] = (bytes((0x84 | rd, 0x80 | (low & 0x10))) + b"\0\1", additional, edns)
    return heads


_HEADS: Final = _heads()
_OPTS: Final = tuple(
    message.Edns(size=0, version=0, dnssec_ok=dnssec_ok).reply() for dnssec_ok in (False, True)
)
EMPTY: Final = Table({}, {}, entries=0, skipped=0)
