"""DNS messages as bytes: reading a question, writing a reply around it. RFC 1035, RFC 6891.

Owns:      the layout of header, question and OPT record. Never raises on what a peer sent.
Does not:  know names or resolvers; read messages of unusual shape (wire.py does, with dnslib).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from vmagent.dns import wire

HEADER: Final = 12
PLAIN_UDP: Final = 512
"""Bytes of a UDP reply to a client that did not say what it can take (RFC 1035, 4.2.1)."""
MOST: Final = 65535
"""Bytes of a message over TCP: its length is 16 bits."""
EDNS_SIZE: Final = 1232
"""What we say we accept in UDP: fits an IPv6 packet of minimum size, hence is never fragmented (DNS flag day
2020).
"""
LONGEST_NAME: Final = 255
POINTER: Final = b"\xc0\x0c"
"""The name of the question, wherever a record needs its owner: so records can be built before the question
is known.
"""
IN: Final = 1

_OPT_START: Final = b"\0\0\x29"
_OPT_BYTES: Final = 11
_OPT_REPLY: Final = _OPT_START + EDNS_SIZE.to_bytes(2, "big")


class Opcode(IntEnum):
    QUERY = 0
    NOTIFY = 4
    UPDATE = 5


class Rcode(IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


class Type(IntEnum):
    A = 1
    CNAME = 5
    SOA = 6
    AAAA = 28
    SVCB = 64
    HTTPS = 65
    ANY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Edns:
    """What the client's OPT record said."""

    size: int
    version: int
    dnssec_ok: bool

    def reply(self, extended_rcode: int = 0) -> bytes:
        """Our own OPT record. DO is copied (RFC 3225), options are not: we support none."""
        return _OPT_REPLY + bytes((extended_rcode, 0, 0x80 if self.dnssec_ok else 0, 0, 0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A request that is sound enough to be answered or forwarded."""

    packet: bytes
    opcode: int
    question: bytes
    """Name, type and class as sent: the client's mixture of cases comes back in the reply (0x20)."""
    name: bytes
    """The name in wire form and lower case."""
    qtype: int
    qclass: int
    edns: Edns | None
    limit: int
    """Bytes the reply may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A request whose only answer is ``reply``."""

    reply: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a reply says behind its question."""

    counts: bytes
    """ANCOUNT and NSCOUNT as they stand in the header."""
    records: bytes


NOTHING: Final = Body(counts=bytes(4), records=b"")


def read(packet: bytes, *, stream: bool) -> Query | Malformed | None:
    """None: silence, because answering would do harm (it is a reply itself) or is impossible (no header).

    ``stream``: it came over TCP. Bytes behind the message are ignored.
    """
    if len(packet) < HEADER or packet[2] & 0x80:
        return None
    opcode = packet[2] >> 3 & 15
    if opcode not in (Opcode.QUERY, Opcode.NOTIFY, Opcode.UPDATE):
        return Malformed(reply=_bare(packet, Rcode.NOTIMP))
    questions, answers, authorities, additionals = (_u16(packet, at) for at in (4, 6, 8, 10))
    end = _name_end(packet)
    if questions != 1 or not end or len(packet) < end + 4:
        return Malformed(reply=_bare(packet, Rcode.FORMERR))
    question, edns = packet[HEADER : end + 4], None
    if opcode == Opcode.QUERY and (answers or authorities or additionals):
        if answers > 1 or authorities > 1 or additionals > 2:
            return Malformed(reply=_bare(packet, Rcode.FORMERR))
        plain = not answers and not authorities and additionals == 1
        edns = _opt(packet, end + 4) if plain else None
        if edns is None:
            found = wire.additional_opt(packet)
            if found is None:
                return Malformed(reply=_bare(packet, Rcode.FORMERR))
            edns = Edns(size=found[0], version=found[1], dnssec_ok=found[2]) if found else None
    udp = max(PLAIN_UDP, edns.size) if edns else PLAIN_UDP
    return Query(
        packet=packet,
        opcode=opcode,
        question=question,
        name=packet[HEADER:end].lower(),  # length bytes are below 64, so lower() leaves them alone
        qtype=_u16(packet, end),
        qclass=_u16(packet, end + 2),
        edns=edns,
        limit=MOST if stream else udp,
    )


def reply(query: Query, body: Body, *, cut: bool = False) -> bytes:
    """Our own answer. ``cut``: TC, something did not fit."""
    return _message(
        query, 0x06 if cut else 0x04, Rcode.NOERROR, body, query.edns.reply() if query.edns else b""
    )


def refuse(query: Query, rcode: Rcode) -> bytes:
    return _message(query, 0, rcode, NOTHING, query.edns.reply() if query.edns else b"")


def bad_version(query: Query) -> bytes:
    """BADVERS: the client speaks a version of EDNS that does not exist yet (RFC 6891, 6.1.3)."""
    assert query.edns is not None
    return _message(query, 0x04, Rcode.NOERROR, NOTHING, query.edns.reply(extended_rcode=1))


def room(query: Query) -> int:
    """Bytes left for records."""
    return query.limit - HEADER - len(query.question) - (_OPT_BYTES if query.edns else 0)


def _message(query: Query, flags: int, rcode: Rcode, body: Body, opt: bytes) -> bytes:
    """RA is always set, because what we do not know we ask for; RD and CD are the client's."""
    return b"".join(
        (
            query.packet[:2],
            bytes((0x80 | (query.packet[2] & 0x79) | flags, 0x80 | (query.packet[3] & 0x10) | rcode)),
            b"\0\1",
            body.counts,
            b"\0\1" if opt else b"\0\0",
            query.question,
            body.records,
            opt,
        )
    )


def encode_name(name: str) -> bytes:
    """Wire form, lower case. Raises ValueError for what cannot be a name."""
    wired = bytearray()
    for label in name.rstrip(".").lower().split("."):
        raw = label.encode("ascii")
        if not 0 < len(raw) < 64 or b"\0" in raw:
            raise ValueError(f"{name!r} is not a DNS name")
        wired += bytes((len(raw),)) + raw
    if len(wired) >= LONGEST_NAME:
        raise ValueError(f"{name!r} is longer than a DNS name may be")
    return bytes(wired) + b"\0"


def _bare(packet: bytes, rcode: int) -> bytes:
    """Header only: what stands behind it could not be read."""
    flags = bytes((0x80 | (packet[2] & 0x79), 0x80 | rcode))
    return packet[:2] + flags + bytes(8)


def _u16(packet: bytes, at: int) -> int:
    return packet[at] << 8 | packet[at + 1]


def _name_end(packet: bytes) -> int:
    """Where the question's name ends; 0 if it is cut, too long, or compressed (there is nothing before to
    point at).
    """
    at = HEADER
    while at < len(packet):
        length = packet[at]
        at += length + 1
        if length > 63 or at - HEADER > LONGEST_NAME:
            return 0
        if not length:
            return at
    return 0


def _opt(packet: bytes, at: int) -> Edns | None:
    """The OPT record at ``at``, None if something else stands there or it is cut."""
    if packet[at : at + 3] != _OPT_START or len(packet) < at + _OPT_BYTES:
        return None
    if len(packet) < at + _OPT_BYTES + _u16(packet, at + 9):
        return None
    return Edns(size=_u16(packet, at + 3), version=packet[at + 6], dnssec_ok=packet[at + 7] & 0x80 != 0)
