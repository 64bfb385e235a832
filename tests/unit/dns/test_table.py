"""What the mesh answers. ``say`` checks on the way that the short way through the table gives the same reply
as the long one.
"""

import random

import pytest
from dnslib import DNSRecord

from tests.unit.dns.packets import answers, ask, say
from vmagent.dns import message
from vmagent.dns.message import Rcode
from vmagent.dns.names import Home
from vmagent.dns.table import EMPTY, TTL, Table
from vmagent.xds.names import KUBERNETES, NameEntry

HOME = Home.parse(namespace="ns1", domain="ns1.svc.cluster.local")
SEARCH = ("ns1.svc.cluster.local", "svc.cluster.local", "corp.example")


def outside(*ips: str) -> NameEntry:
    return NameEntry(ips=ips, registry="External")


def service(short: str, namespace: str, *ips: str) -> NameEntry:
    return NameEntry(ips=ips, registry=KUBERNETES, shortname=short, namespace=namespace)


MESH = Table.build(
    {
        "www.google.com": outside("1.1.1.1"),
        "www.bing.com": outside("1.1.1.1", "2001:db8::1"),
        "v6.only": outside("2001:db8::2"),
        "many.example": outside(*(f"10.0.0.{i}" for i in range(1, 5))),
        "giant.example": outside(*(f"10.0.{i}.{j}" for i in range(4) for j in range(250))),
        "*.wild.example": outside("10.10.10.10"),
        "*.b.wild.example": outside("11.11.11.11"),
        "svc.mesh.wild.example": outside("12.12.12.12"),
        "productpage.ns1.svc.cluster.local": service("productpage", "ns1", "9.9.9.9"),
        "reviews.ns2.svc.cluster.local": service("reviews", "ns2", "10.10.10.10"),
        "no.address": outside("10.0.0.0/8", "localhost", ""),
        "mapped.example": outside("::ffff:1.2.3.4"),
    },
    HOME,
)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("www.google.com", "1.1.1.1"),
        ("productpage", "9.9.9.9"),
        ("productpage.ns1", "9.9.9.9"),
        ("productpage.ns1.svc", "9.9.9.9"),
        ("productpage.ns1.svc.cluster.local", "9.9.9.9"),
        ("reviews.ns2.svc", "10.10.10.10"),
        ("x.wild.example", "10.10.10.10"),
        ("x.y.z.wild.example", "10.10.10.10"),
        ("x.b.wild.example", "11.11.11.11"),
        ("b.wild.example", "10.10.10.10"),
        ("svc.mesh.wild.example", "12.12.12.12"),
        ("x.svc.mesh.wild.example", "10.10.10.10"),
        ("*.wild.example", "10.10.10.10"),
    ],
)
def test_names_of_the_mesh_have_their_addresses(name: str, address: str) -> None:
    reply = say(MESH, ask(name))
    assert answers(reply) == [(f"{name}.", "A", address)]
    assert reply.rr[0].ttl == TTL
    assert (reply.header.aa, reply.header.ra, reply.header.rd, reply.header.rcode) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    "name",
    ["example.com", "reviews", "wild.example", "productpage.ns2", "com", "svc.cluster.local", "no.address"],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert say(MESH, ask(name)) is None


def test_the_root_is_not_ours() -> None:
    assert say(MESH, ask(".", "NS")) is None
    everything = Table.build({"*": outside("1.1.1.1"), "*.": outside("1.1.1.1")}, HOME)
    assert say(everything, ask("www.google.com")) is None


@pytest.mark.parametrize(
    ("name", "kind"), [("www.google.com", "AAAA"), ("v6.only", "A"), ("x.wild.example", "AAAA")]
)
def test_a_known_name_without_the_family_is_no_data_and_cached_no_longer_than_an_address(
    name: str, kind: str
) -> None:
    reply = say(MESH, ask(name, kind))
    assert (reply.header.rcode, reply.header.aa, reply.rr) == (Rcode.NOERROR, 1, [])
    (soa,) = reply.auth
    assert (str(soa.rname), soa.ttl, soa.rdata.times[-1]) == (f"{name}.", TTL, TTL)


def test_a_mapped_address_is_an_ipv6_address() -> None:
    assert say(MESH, ask("mapped.example")).rr == []
    assert answers(say(MESH, ask("mapped.example", "AAAA")))[0][2] in ("::ffff:1.2.3.4", "::ffff:102:304")


def test_both_families_are_told_apart() -> None:
    assert answers(say(MESH, ask("www.bing.com"))) == [("www.bing.com.", "A", "1.1.1.1")]
    assert answers(say(MESH, ask("www.bing.com", "AAAA"))) == [("www.bing.com.", "AAAA", "2001:db8::1")]


# --- search domains ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", SEARCH)
def test_a_first_try_with_any_search_domain_is_answered_by_an_alias(search: str) -> None:
    reply = say(MESH, ask(f"www.google.com.{search}"), *SEARCH)
    assert answers(reply) == [
        (f"www.google.com.{search}.", "CNAME", "www.google.com."),
        ("www.google.com.", "A", "1.1.1.1"),
    ]


def test_a_wildcard_below_a_search_domain_is_an_alias_of_the_name_that_was_meant() -> None:
    reply = say(MESH, ask("x.wild.example.corp.example"), *SEARCH)
    assert answers(reply) == [
        ("x.wild.example.corp.example.", "CNAME", "x.wild.example."),
        ("x.wild.example.", "A", "10.10.10.10"),
    ]


def test_an_alias_without_the_family_leads_to_no_data_of_its_target() -> None:
    reply = say(MESH, ask("www.google.com.corp.example", "AAAA"), *SEARCH)
    assert answers(reply) == [("www.google.com.corp.example.", "CNAME", "www.google.com.")]
    assert [str(soa.rname) for soa in reply.auth] == ["www.google.com."]


def test_a_name_that_really_exists_is_not_hidden_by_a_search_domain() -> None:
    mesh = Table.build(
        {"www.google.com": outside("1.1.1.1"), "www.google.com.corp.example": outside("2.2.2.2")}, HOME
    )
    assert answers(say(mesh, ask("www.google.com.corp.example"), *SEARCH))[0][2] == "2.2.2.2"


def test_a_service_next_door_hides_a_name_outside_that_begins_like_it() -> None:
    """docs/dns.md says so: nobody here knows which names there are outside."""
    reply = say(MESH, ask("productpage.corp.example"), *SEARCH)
    assert answers(reply)[0] == ("productpage.corp.example.", "CNAME", "productpage.")


def test_nobody_means_a_complete_name_below_its_own_search_domain() -> None:
    name = "productpage.ns1.svc.cluster.local.ns1.svc.cluster.local"
    assert say(MESH, ask(name), "ns1.svc.cluster.local") is None


def test_a_search_domain_matches_whole_labels_only() -> None:
    assert say(MESH, ask("www.google.comcorp.example"), *SEARCH) is None
    assert say(MESH, ask("corp.example"), *SEARCH) is None


# --- other types ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["TXT", "SRV", "MX", "PTR", "HTTPS", "NS", "SOA"])
def test_a_name_that_only_the_mesh_knows_has_nothing_else(kind: str) -> None:
    reply = say(MESH, ask("productpage.ns1.svc.cluster.local", kind))
    assert (reply.header.rcode, reply.rr, len(reply.auth)) == (Rcode.NOERROR, [], 1)


@pytest.mark.parametrize("kind", ["TXT", "SRV", "MX", "NS"])
def test_other_types_of_a_name_that_may_exist_outside_are_asked_there(kind: str) -> None:
    assert say(MESH, ask("www.google.com", kind)) is None


def test_hints_that_lead_past_the_mesh_are_not_given() -> None:
    assert say(MESH, ask("www.google.com", "HTTPS")).rr == []


def test_any_is_answered_with_one_set_of_addresses() -> None:
    assert answers(say(MESH, ask("www.bing.com", "ANY"))) == [("www.bing.com.", "A", "1.1.1.1")]
    assert answers(say(MESH, ask("v6.only", "ANY"))) == [("v6.only.", "AAAA", "2001:db8::2")]


def test_other_classes_are_not_ours() -> None:
    packet = ask("www.google.com")[:-2] + b"\0\3"
    assert say(MESH, packet) is None


# --- the shape of a reply ---------------------------------------------------------------------------------


def test_the_client_gets_its_mixture_of_cases_back() -> None:
    packet = ask("wWw.GooGLE.com", ident=0xBEEF)
    fast = MESH.fast(packet)
    assert fast is not None
    assert fast[:2] == b"\xbe\xef"
    assert fast[12 : len(packet)] == packet[12:]


def test_edns_is_echoed_with_what_we_accept_and_the_client_s_do() -> None:
    (opt,) = say(MESH, ask("www.google.com", size=4096, flags="do")).ar
    assert (opt.rclass, opt.ttl) == (message.EDNS_SIZE, 0x8000)
    assert say(MESH, ask("www.google.com")).ar == []


def test_options_of_edns_do_not_matter() -> None:
    packet = ask("www.google.com", size=1232)
    cookie = b"\0\x0a\0\x08" + bytes(8)
    assert answers(say(MESH, packet[:-2] + b"\0\x0c" + cookie))[0][2] == "1.1.1.1"


def test_a_version_of_edns_that_does_not_exist_is_refused() -> None:
    packet = bytearray(ask("www.google.com", size=1232))
    packet[-5] = 1
    reply = say(MESH, bytes(packet))
    assert (reply.rr, reply.ar[0].ttl >> 24) == ([], 1)


def test_the_checking_disabled_bit_is_copied_and_authentic_data_never_claimed() -> None:
    packet = bytearray(ask("www.google.com"))
    packet[3] |= 0x30
    reply = say(MESH, bytes(packet))
    assert (reply.header.cd, reply.header.ad) == (1, 0)


def test_several_addresses_come_in_every_order() -> None:
    random.seed(1)
    packet = ask("many.example")
    orders = {tuple(data for _, _, data in answers(DNSRecord.parse(MESH.fast(packet)))) for _ in range(500)}
    assert len(orders) == 24
    assert all(sorted(order) == [f"10.0.0.{i}" for i in range(1, 5)] for order in orders)


@pytest.mark.parametrize(("size", "limit"), [(0, 512), (100, 512), (1232, 1232), (4096, 4096)])
def test_a_udp_reply_is_cut_to_what_the_client_takes(size: int, limit: int) -> None:
    packet = ask("giant.example", size=size)
    assert MESH.fast(packet) is None
    reply = say(MESH, packet)
    length = len(reply.pack())
    assert reply.header.tc == 1
    assert limit - 16 < length <= limit
    assert len(reply.ar) == bool(size)


def test_over_tcp_a_giant_answer_is_whole() -> None:
    reply = say(MESH, ask("giant.example"), stream=True)
    assert (len(reply.rr), reply.header.tc) == (1000, 0)


def test_a_large_answer_that_fits_takes_the_short_way() -> None:
    mesh = Table.build({"x.example": outside(*(f"10.0.0.{i}" for i in range(40)))}, HOME)
    assert mesh.fast(ask("x.example")) is None
    assert mesh.fast(ask("x.example", size=1232)) is not None


# --- building ---------------------------------------------------------------------------------------------


def test_two_entries_that_claim_one_name_are_decided_the_same_way_every_time() -> None:
    rivals = {
        "d.ns1.svc.cluster.local": service("d", "ns1", "1.1.1.1"),
        "d": outside("2.2.2.2"),
        "a.ns2.svc.cluster.local": service("same", "ns2", "3.3.3.3"),
        "b.ns2.svc.cluster.local": service("same", "ns2", "4.4.4.4"),
    }
    for order in (rivals, dict(reversed(rivals.items()))):
        mesh = Table.build(order, HOME)
        assert answers(say(mesh, ask("d")))[0][2] == "2.2.2.2"
        assert answers(say(mesh, ask("same.ns2")))[0][2] == "3.3.3.3"


def test_what_cannot_be_understood_is_left_out_and_counted() -> None:
    mesh = Table.build(
        {
            "good.example": outside("1.1.1.1", "nonsense", "1.1.1.1"),
            "b\xfccher.example": outside("1.1.1.1"),
            "a..b": outside("1.1.1.1"),
            "x" * 64: outside("1.1.1.1"),
            ".".join(["abcdefg"] * 40): outside("1.1.1.1"),
            "no.address": outside(),
            "nul\0.example": outside("1.1.1.1\0"),
        },
        HOME,
    )
    assert answers(say(mesh, ask("good.example"))) == [("good.example.", "A", "1.1.1.1")]
    assert (mesh.entries, mesh.skipped) == (5, 6)


def test_all_names_of_an_entry_share_one_answer() -> None:
    wired = [message.encode_name(name) for name in ("productpage", "productpage.ns1", "productpage.ns1.svc")]
    assert len({id(found.answer) for name in wired if (found := MESH.find(name, ()))}) == 1


def test_before_the_first_table_nothing_is_ours() -> None:
    assert EMPTY.fast(ask("www.google.com")) is None
    assert EMPTY.find(message.encode_name("www.google.com"), ()) is None
