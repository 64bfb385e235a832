"""Names of the mesh and all others, through real sockets. What Istio's agent does in the same situation is
said where we differ.
"""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from tests.flow.dns.world import LOCALHOST, Resolver, address, host, silence, verdict
from tests.ports import free_port
from tests.unit.dns.packets import answers, ask
from vmagent.config.model import Address
from vmagent.dns.message import Rcode


async def test_before_the_first_table_everything_is_asked_outside(tmp_path: Path) -> None:
    """Istio's agent: SERVFAIL for every name until the first table."""
    port = free_port()
    async with (
        Resolver("127.0.0.2", address("5.5.5.5")).serving(port),
        host(tmp_path, "127.0.0.2", port=port) as vm,
    ):
        assert not vm.server.has_table
        assert answers(await vm.ask(ask("www.example.com")))[0][2] == "5.5.5.5"
        assert answers(await vm.ask(ask("productpage.mesh")))[0][2] == "5.5.5.5"


async def test_the_first_table_counts_at_once_and_the_next_one_replaces_it(tmp_path: Path) -> None:
    port = free_port()
    async with (
        Resolver("127.0.0.2", verdict(Rcode.NXDOMAIN)).serving(port),
        host(tmp_path, "127.0.0.2", port=port) as vm,
    ):
        await vm.learn(productpage_mesh="240.240.0.1")
        assert vm.server.has_table
        assert answers(await vm.ask(ask("productpage.mesh")))[0][2] == "240.240.0.1"
        await vm.learn(reviews_mesh="240.240.0.2", ratings_mesh="240.240.0.3")
        assert answers(await vm.ask(ask("reviews.mesh")))[0][2] == "240.240.0.2"
        assert (await vm.ask(ask("productpage.mesh"))).header.rcode == Rcode.NXDOMAIN


@pytest.mark.parametrize("behaviour", [silence, verdict(Rcode.SERVFAIL)])
async def test_names_of_the_mesh_need_no_resolver(tmp_path: Path, behaviour: object) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", behaviour).serving(port) as upstream:  # type: ignore[arg-type]
        async with host(tmp_path, "127.0.0.2", port=port) as vm:
            await vm.learn(productpage_mesh="240.240.0.1")
            assert answers(await vm.ask(ask("productpage.mesh"), within=1))[0][2] == "240.240.0.1"
            assert upstream.udp == []


async def test_ipv6_clients_are_served_on_their_loopback(tmp_path: Path) -> None:
    async with host(tmp_path, "10.0.0.1", listen=Address(host="localhost", port=0)) as vm:
        await vm.learn(productpage_mesh="240.240.0.1")
        for loopback in ("127.0.0.1", "::1"):
            assert answers(await vm.ask(ask("productpage.mesh"), host=loopback))


# --- every row of the table of errors ---------------------------------------------------------------------


async def test_a_known_name_without_that_family_is_no_data(tmp_path: Path) -> None:
    """As Istio's agent, plus the SOA."""
    async with host(tmp_path, "10.0.0.1") as vm:
        await vm.learn(productpage_mesh="240.240.0.1")
        reply = await vm.ask(ask("productpage.mesh", "AAAA"))
        assert (reply.header.rcode, reply.header.aa, reply.rr, len(reply.auth)) == (0, 1, [], 1)


async def test_no_such_name_from_outside_is_not_believed_for_a_name_the_mesh_knows(tmp_path: Path) -> None:
    """Istio's agent hands NXDOMAIN on, and the client's cache then denies the address too."""
    port = free_port()
    async with (
        Resolver("127.0.0.2", verdict(Rcode.NXDOMAIN)).serving(port),
        host(tmp_path, "127.0.0.2", port=port) as vm,
    ):
        await vm.learn(productpage_mesh="240.240.0.1")
        assert (await vm.ask(ask("productpage.mesh", "TXT"))).header.rcode == Rcode.NOERROR
        assert (await vm.ask(ask("elsewhere.mesh", "TXT"))).header.rcode == Rcode.NXDOMAIN


@pytest.mark.parametrize("rcode", [Rcode.NXDOMAIN, Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOERROR])
async def test_what_the_resolver_says_about_other_names_is_handed_on(tmp_path: Path, rcode: Rcode) -> None:
    port = free_port()
    async with (
        Resolver("127.0.0.2", verdict(rcode)).serving(port),
        host(tmp_path, "127.0.0.2", port=port) as vm,
    ):
        reply = await vm.ask(ask("www.example.com"))
        assert (reply.header.rcode, reply.header.aa) == (rcode, 0)


async def test_without_resolvers_other_names_fail_at_once_and_are_never_denied(tmp_path: Path) -> None:
    for lines in ((), ("search corp.example",)):
        async with host(tmp_path, *lines, parallel=True) as vm:
            before = time.monotonic()
            assert (await vm.ask(ask("www.example.com"))).header.rcode == Rcode.SERVFAIL
            assert time.monotonic() - before < 1
            assert vm.server.counters.upstream_failures == 1


async def test_a_resolver_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    async with host(tmp_path, "127.0.0.2", "127.0.0.3", port=free_port()) as vm:
        before = time.monotonic()
        assert (await vm.ask(ask("www.example.com"))).header.rcode == Rcode.SERVFAIL
        assert time.monotonic() - before < 1


async def test_a_resolver_that_is_silent_is_a_failure_and_not_a_no(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port) as upstream:
        async with host(tmp_path, "127.0.0.2", port=port, forward_timeout=1.0) as vm:
            before = time.monotonic()
            assert (await vm.ask(ask("www.example.com"))).header.rcode == Rcode.SERVFAIL
            assert 0.85 < time.monotonic() - before < 1.0
            assert len(upstream.udp) == 3
            assert vm.server.counters.upstream_failures == 1


# --- what else clients send -------------------------------------------------------------------------------


async def test_garbage_gets_a_format_error_or_silence_and_the_next_client_its_answer(tmp_path: Path) -> None:
    async with host(tmp_path, "10.0.0.1") as vm:
        await vm.learn(productpage_mesh="240.240.0.1")
        good = ask("productpage.mesh")
        assert (await vm.ask(good[:14])).header.rcode == Rcode.FORMERR
        assert (await vm.ask(good[:2] + b"\x10" + good[3:])).header.rcode == Rcode.NOTIMP
        for packet in (b"", b"\0", good[:2] + b"\x81" + good[3:], b"\xff" * 5000):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(packet, (LOCALHOST, vm.where.port))
        assert answers(await vm.ask(good))[0][2] == "240.240.0.1"
        assert vm.server.counters.malformed == 6


async def test_a_dynamic_update_reaches_the_server_it_is_meant_for_and_only_once(tmp_path: Path) -> None:
    """Istio's agent: NOTIMP, so a machine of an Active Directory can no longer register its address."""
    port = free_port()
    update = ask("corp.example", "SOA")
    update = update[:2] + b"\x28" + update[3:]
    async with Resolver("127.0.0.2", verdict(0)).serving(port) as first:
        async with Resolver("127.0.0.3", verdict(0)).serving(port) as second:
            async with host(tmp_path, "127.0.0.2", "127.0.0.3", port=port) as vm:
                assert (await vm.ask(update)).header.opcode == 5
                assert [packet[2:] for packet in first.udp] == [update[2:]]
                assert second.udp == []


async def test_a_search_domain_of_the_host_is_answered_here(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", verdict(Rcode.NXDOMAIN)).serving(port) as upstream:
        async with host(tmp_path, "127.0.0.2", "search a.example b.example", port=port) as vm:
            await vm.learn(productpage_mesh="240.240.0.1")
            reply = await vm.ask(ask("productpage.mesh.b.example"))
            assert [kind for _, kind, _ in answers(reply)] == ["CNAME", "A"]
            assert upstream.udp == []


async def test_our_own_question_coming_back_ends_the_loop(tmp_path: Path) -> None:
    """What a capture rule without exemption does, done here by a resolver whose address leads to
    ourselves.
    """
    port = free_port()
    async with host(tmp_path, "127.0.0.1", port=port, listen=Address(host="0.0.0.0", port=port)) as vm:
        before = time.monotonic()
        assert (await vm.ask(ask("www.example.com"))).header.rcode == Rcode.SERVFAIL
        assert time.monotonic() - before < 1
        assert (vm.server.counters.loops, vm.server.counters.upstream_requests) == (1, 1)


async def test_many_clients_at_once_all_get_their_own_answer(tmp_path: Path) -> None:
    port = free_port()
    async with (
        Resolver("127.0.0.2", address("5.5.5.5")).serving(port),
        host(tmp_path, "127.0.0.2", port=port) as vm,
    ):
        await vm.learn(productpage_mesh="240.240.0.1")
        names = [f"host{i}.example" if i % 2 else "productpage.mesh" for i in range(200)]
        replies = await asyncio.gather(
            *(vm.ask(ask(name, ident=i, size=1232)) for i, name in enumerate(names))
        )
        for i, (name, reply) in enumerate(zip(names, replies, strict=True)):
            assert (reply.header.id, str(reply.q.qname)) == (i, f"{name}.")
            assert answers(reply)[0][2] == ("5.5.5.5" if i % 2 else "240.240.0.1")
