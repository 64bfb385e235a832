"""Questions and answers as dnslib sees them, which is not how vmagent writes them."""

from typing import Any

from dnslib import QTYPE, DNSRecord
from dnslib.dns import EDNS0, DNSHeader, DNSQuestion

from vmagent.dns import message, table
from vmagent.dns.message import Query
from vmagent.dns.table import Table


def ask(name: str, kind: str = "A", *, ident: int = 0x1234, size: int = 0, flags: str = "") -> bytes:
    """``size``: what the client says in EDNS; 0: it says nothing."""
    record = DNSRecord(DNSHeader(id=ident, rd=1), q=DNSQuestion(name, getattr(QTYPE, kind)))
    if size:
        record.add_ar(EDNS0(udp_len=size, flags=flags))
    return bytes(record.pack())


def sound(packet: bytes, *, stream: bool = False) -> Query:
    query = message.read(packet, stream=stream)
    assert isinstance(query, Query), query
    return query


def say(mesh: Table, packet: bytes, *search: str, stream: bool = False) -> Any:
    """The reply as dnslib reads it; None: the mesh does not answer. Short way and long way must agree."""
    query = sound(packet, stream=stream)
    found = mesh.find(query.name, [message.encode_name(domain) for domain in search])
    slow = table.reply(query, found) if found is not None else None
    if not stream and (fast := mesh.fast(packet)) is not None:
        assert slow is not None
        assert shape(fast) == shape(slow)
    return DNSRecord.parse(slow) if slow is not None else None


def shape(packet: bytes) -> tuple[bytes, list[str]]:
    """The header, and everything behind it without the order of records."""
    record = DNSRecord.parse(packet)
    parts = (*record.questions, *record.rr, *record.auth, *record.ar)
    return packet[:12], sorted(map(str, parts))


def answers(record: Any) -> list[tuple[str, str, str]]:
    """(owner, type, data) in the order of the reply."""
    return [(str(rr.rname), QTYPE[rr.rtype], str(rr.rdata)) for rr in record.rr]
