"""What clients and resolvers may throw at us. Nothing here may raise, whatever the bytes are."""

import random

import pytest
from dnslib import DNSRecord
from dnslib.dns import EDNS0, RD, RR, A, DNSHeader, DNSQuestion

from tests.unit.dns.packets import ask, sound
from vmagent.dns import message, table, wire
from vmagent.dns.message import Malformed, Query, Rcode
from vmagent.dns.names import Home
from vmagent.dns.table import Table
from vmagent.xds.names import NameEntry

PLAIN = ask("www.google.com")
EDNS = ask("www.google.com", size=1232)
MESH = Table.build(
    {"www.google.com": NameEntry(ips=("1.1.1.1",), registry="External")}, Home(namespace="", suffix="")
)


def rcode(packet: bytes) -> int | None:
    """None: silence."""
    found = message.read(packet, stream=False)
    assert not isinstance(found, Query), found
    return found.reply[3] & 15 if isinstance(found, Malformed) else None


def test_a_sound_question_is_read() -> None:
    query = sound(EDNS)
    assert query.name == message.encode_name("www.google.com")
    assert (query.qtype, query.qclass, query.limit) == (1, 1, 1232)
    assert sound(PLAIN).limit == 512
    assert sound(ask("x.y", size=100)).limit == 512
    assert sound(PLAIN, stream=True).limit == 65535


@pytest.mark.parametrize("length", range(12))
def test_what_has_no_header_meets_silence(length: int) -> None:
    assert rcode(PLAIN[:length]) is None


def test_a_reply_meets_silence_so_that_two_servers_never_talk_for_ever() -> None:
    assert rcode(PLAIN[:2] + b"\x81" + PLAIN[3:]) is None


@pytest.mark.parametrize("length", range(12, len(PLAIN)))
def test_a_cut_question_is_a_format_error(length: int) -> None:
    assert rcode(PLAIN[:length]) == Rcode.FORMERR


@pytest.mark.parametrize("length", range(len(PLAIN), len(EDNS)))
def test_a_cut_edns_record_is_a_format_error(length: int) -> None:
    assert rcode(EDNS[:length]) == Rcode.FORMERR


@pytest.mark.parametrize("opcode", [1, 2, 3, 6, 15])
def test_an_operation_nobody_knows_is_not_implemented(opcode: int) -> None:
    found = message.read(PLAIN[:2] + bytes((opcode << 3 | 1,)) + PLAIN[3:], stream=False)
    assert isinstance(found, Malformed)
    record = DNSRecord.parse(found.reply)
    assert (record.header.rcode, record.header.opcode, record.header.id) == (Rcode.NOTIMP, opcode, 0x1234)


@pytest.mark.parametrize("opcode", [4, 5])
def test_an_update_is_sound_whatever_it_carries(opcode: int) -> None:
    packet = PLAIN[:2] + bytes((opcode << 3,)) + PLAIN[3:8] + b"\0\x07" + PLAIN[10:]
    assert sound(packet).opcode == opcode


@pytest.mark.parametrize(
    ("at", "count"), [(4, 0), (4, 2), (4, 65535), (6, 2), (8, 2), (10, 3), (6, 65535), (10, 65535)]
)
def test_counts_that_no_question_has_are_a_format_error(at: int, count: int) -> None:
    assert rcode(PLAIN[:at] + count.to_bytes(2, "big") + PLAIN[at + 2 :]) == Rcode.FORMERR


def test_names_that_cannot_be_are_a_format_error() -> None:
    head, tail = PLAIN[:12], b"\0\1\0\1"
    assert rcode(head + b"\xc0\x0c" + tail) == Rcode.FORMERR
    assert rcode(head + b"\x40" + b"a" * 64 + b"\0" + tail) == Rcode.FORMERR
    assert rcode(head + (b"\x3f" + b"a" * 63) * 4 + b"\0" + tail) == Rcode.FORMERR
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    assert len(longest) == message.LONGEST_NAME
    assert sound(head + longest + tail).name == longest


def test_a_name_may_hold_any_byte() -> None:
    packet = PLAIN[:12] + b"\x04\0.\xff\x20\0" + b"\0\1\0\1"
    assert sound(packet).name == b"\x04\0.\xff\x20\0"
    assert MESH.fast(packet) is None
    assert MESH.find(sound(packet).name, ()) is None


def test_bytes_behind_the_question_change_nothing() -> None:
    assert sound(PLAIN + b"junk").question == PLAIN[12:]
    reply = MESH.fast(PLAIN + b"junk")
    assert reply is not None
    assert DNSRecord.parse(reply).rr


def test_edns_is_found_beside_a_signature() -> None:
    record = DNSRecord(DNSHeader(id=1, rd=1), q=DNSQuestion("www.google.com"))
    record.add_ar(EDNS0(udp_len=4096, flags="do"))
    record.add_ar(RR("key.example", 250, 255, 0, RD(b"\x01" * 20)))
    query = sound(bytes(record.pack()))
    assert query.edns is not None
    assert (query.edns.size, query.edns.dnssec_ok, query.limit) == (4096, True, 4096)


def test_another_record_behind_the_question_is_no_edns() -> None:
    record = DNSRecord(DNSHeader(id=1, rd=1), q=DNSQuestion("www.google.com"))
    record.add_ar(RR("other.example", rdata=A("1.2.3.4")))
    assert sound(bytes(record.pack())).edns is None


def test_two_edns_records_are_a_format_error() -> None:
    record = DNSRecord(DNSHeader(id=1, rd=1), q=DNSQuestion("www.google.com"))
    record.add_ar(EDNS0(udp_len=4096), EDNS0(udp_len=512))
    assert rcode(bytes(record.pack())) == Rcode.FORMERR


def test_a_refusal_keeps_question_id_and_edns() -> None:
    record = DNSRecord.parse(message.refuse(sound(EDNS), Rcode.SERVFAIL))
    assert (record.header.id, record.header.rcode, record.header.ra, record.header.aa) == (0x1234, 2, 1, 0)
    assert str(record.q.qname) == "www.google.com."
    assert len(record.ar) == 1


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64, "b\xfccher", "nul\0", "abcdefghi." * 26])
def test_what_cannot_be_a_name_is_not_encoded(name: str) -> None:
    with pytest.raises(ValueError):
        message.encode_name(name)


# --- fuzz -------------------------------------------------------------------------------------------------


def damaged(packet: bytes, dice: random.Random) -> bytes:
    raw = bytearray(packet)
    for _ in range(dice.randrange(1, 6)):
        match dice.randrange(4):
            case 0 if raw:
                raw[dice.randrange(len(raw))] = dice.choice((0, 1, 0x0C, 0x29, 0x3F, 0x40, 0xC0, 0xFF))
            case 1:
                del raw[dice.randrange(len(raw) + 1) :]
            case 2:
                at = dice.randrange(len(raw) + 1)
                raw[at:at] = dice.randbytes(dice.randrange(40))
            case _ if raw:
                raw[dice.randrange(len(raw))] = dice.randrange(256)
    return bytes(raw)


def seeds() -> list[bytes]:
    signed = DNSRecord(DNSHeader(id=1, rd=1), q=DNSQuestion("www.google.com"))
    signed.add_ar(EDNS0(udp_len=4096, flags="do"))
    signed.add_ar(RR("key.example", rdata=A("1.2.3.4")))
    reply = DNSRecord(DNSHeader(id=1, qr=1, rd=1), q=DNSQuestion("www.google.com"))
    reply.add_answer(*(RR("www.google.com", rdata=A(f"1.2.3.{i}")) for i in range(40)))
    return [PLAIN, EDNS, bytes(signed.pack()), bytes(reply.pack())]


def test_no_bytes_whatever_make_reading_or_answering_fail() -> None:
    dice = random.Random(20261121)
    start = seeds()
    for _ in range(20_000):
        packet = damaged(dice.choice(start), dice)
        fast = MESH.fast(packet)
        found = message.read(packet, stream=False)
        if isinstance(found, Malformed):
            assert DNSRecord.parse(found.reply).header.rcode in (Rcode.FORMERR, Rcode.NOTIMP)
            continue
        if found is None:
            assert fast is None
            continue
        known = MESH.find(found.name, (b"\x03com\0",))
        slow = table.reply(found, known) if known is not None else None
        assert fast is None or fast == slow
        for reply in filter(None, (slow, message.refuse(found, Rcode.SERVFAIL))):
            assert len(reply) <= found.limit
            assert reply[12 : 12 + len(found.question)] == found.question


def test_no_reply_of_a_resolver_whatever_makes_cutting_fail() -> None:
    dice = random.Random(20261121)
    start = seeds()
    for _ in range(5_000):
        packet = damaged(dice.choice(start), dice)
        if len(packet) >= len(PLAIN):
            cut = wire.shorten(packet, 200, len(PLAIN))
            assert len(cut) <= 200
            assert cut[2] & 2


def test_a_reply_that_is_too_long_keeps_whole_answers_and_edns_and_says_so() -> None:
    reply = DNSRecord(DNSHeader(id=7, qr=1, rd=1, ra=1), q=DNSQuestion("www.google.com"))
    reply.add_answer(*(RR("www.google.com", rdata=A(f"1.2.3.{i}")) for i in range(200)))
    reply.add_ar(EDNS0(udp_len=1232))
    cut = wire.shorten(bytes(reply.pack()), 512, len(PLAIN))
    record = DNSRecord.parse(cut)
    assert len(cut) <= 512
    assert (record.header.tc, record.header.id, len(record.ar)) == (1, 7, 1)
    assert 10 < len(record.rr) < 30


def test_a_reply_too_large_to_be_read_in_passing_is_cut_to_its_question() -> None:
    reply = DNSRecord(DNSHeader(id=7, qr=1, rd=1), q=DNSQuestion("www.google.com"))
    reply.add_answer(*(RR("www.google.com", rdata=A(f"1.2.3.{i % 256}")) for i in range(2000)))
    record = DNSRecord.parse(wire.shorten(bytes(reply.pack()), 512, len(PLAIN)))
    assert (record.header.tc, record.rr, str(record.q.qname)) == (1, [], "www.google.com.")
