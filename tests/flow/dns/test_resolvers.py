"""Resolvers that are slow, lossy, wrong, short-spoken or gone: clients notice no more than with libc."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.flow.dns.world import Host, Resolver, address, conf, host, reply_to, silence, verdict
from tests.ports import free_port
from tests.unit.dns.packets import answers, ask
from vmagent.dns import upstream
from vmagent.dns.exchange import HEDGE, HOLD
from vmagent.dns.message import Rcode

QUESTION = ask("www.example.com")


async def taken(vm: Host, packet: bytes = QUESTION) -> tuple[float, str]:
    """Seconds and address."""
    before = time.monotonic()
    reply = await vm.ask(packet)
    return time.monotonic() - before, answers(reply)[0][2]


async def test_a_lost_question_is_asked_again(tmp_path: Path) -> None:
    port = free_port()
    replies = iter([(), (), ["5.5.5.5"]])

    def lossy(packet: bytes) -> Iterable[bytes]:
        return [reply_to(packet, records=records)] if (records := next(replies)) else []

    async with Resolver("127.0.0.2", lossy).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", port=port, forward_timeout=2.0) as vm:
            assert (await taken(vm))[1] == "5.5.5.5"
            assert len(resolver.udp) == 3
            assert len(set(resolver.udp)) == 1
            assert vm.server.counters.upstream_retries == 2


async def test_forged_and_mistaken_replies_are_not_taken_and_the_right_one_still_is(tmp_path: Path) -> None:
    port = free_port()

    def forged(packet: bytes) -> Iterable[bytes]:
        wrong_id = bytes((packet[0] ^ 1,)) + packet[1:]
        wrong_name = packet.replace(b"example", b"exampel")
        yield reply_to(wrong_id, records=["6.6.6.6"])
        yield reply_to(wrong_name, records=["6.6.6.6"])
        yield packet
        yield b"\0" * 3
        yield reply_to(packet, records=["5.5.5.5"])

    async with Resolver("127.0.0.2", forged).serving(port), host(tmp_path, "127.0.0.2", port=port) as vm:
        assert (await taken(vm))[1] == "5.5.5.5"
        assert vm.server.counters.strays == 4


async def test_every_question_has_an_id_and_a_port_of_its_own(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", address("5.5.5.5")).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", port=port) as vm:
            for _ in range(30):
                await vm.ask(QUESTION)
            assert len({packet[:2] for packet in resolver.udp}) > 25


async def test_the_question_goes_out_as_the_client_wrote_it(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", address("5.5.5.5")).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", port=port) as vm:
            packet = ask("wWw.ExaMPle.com", size=1400, flags="do")
            await vm.ask(packet)
            assert resolver.udp[0][2:] == packet[2:]


async def test_a_dead_first_resolver_costs_little_and_soon_nothing(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port) as dead:
        async with Resolver("127.0.0.3", address("5.5.5.5")).serving(port):
            async with host(tmp_path, "127.0.0.2", "127.0.0.3", port=port) as vm:
                seconds, _ = await taken(vm)
                assert HEDGE <= seconds < HEDGE + 0.3
                await asyncio.sleep(HOLD)
                asked = len(dead.udp)
                seconds, _ = await taken(vm)
                assert seconds < HEDGE
                assert len(dead.udp) == asked


async def test_a_slow_first_resolver_keeps_its_place(tmp_path: Path) -> None:
    """The internal resolver knows an internal name; the public one behind it says no, and says it faster."""
    port = free_port()
    slow = Resolver("127.0.0.2", silence)

    def later(packet: bytes) -> Iterable[bytes]:
        transport = slow._transport
        assert transport is not None
        asyncio.get_running_loop().call_later(
            2 * HEDGE, transport.sendto, reply_to(packet, records=["10.1.1.1"]), slow.peer
        )
        return ()

    slow.behave = later
    async with slow.serving(port), Resolver("127.0.0.3", verdict(Rcode.NXDOMAIN)).serving(port) as public:
        async with host(tmp_path, "127.0.0.2", "127.0.0.3", port=port) as vm:
            for _ in range(4):
                assert (await taken(vm))[1] == "10.1.1.1"
            assert len(public.udp) == 4


async def test_a_resolver_that_cannot_help_is_no_reason_to_fail(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", verdict(Rcode.REFUSED)).serving(port):
        async with Resolver("127.0.0.3", address("5.5.5.5")).serving(port):
            async with host(tmp_path, "127.0.0.2", "127.0.0.3", port=port) as vm:
                assert (await taken(vm))[1] == "5.5.5.5"


async def test_in_parallel_the_dead_one_costs_nothing(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port):
        async with Resolver("127.0.0.3", address("5.5.5.5")).serving(port):
            async with host(tmp_path, "127.0.0.2", "127.0.0.3", port=port, parallel=True) as vm:
                assert (await taken(vm))[0] < HEDGE


async def test_timeout_and_attempts_of_resolv_conf_are_honoured(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", "options timeout:1 attempts:1", port=port) as vm:
            before = time.monotonic()
            assert (await vm.ask(QUESTION)).header.rcode == Rcode.SERVFAIL
            assert 0.95 < time.monotonic() - before < 1.3
            assert len(resolver.udp) == 1


# --- size -------------------------------------------------------------------------------------------------


async def test_a_cut_reply_is_handed_on_and_the_client_comes_again_by_tcp(tmp_path: Path) -> None:
    port = free_port()
    resolver = Resolver("127.0.0.2", silence)

    def cut_on_udp(packet: bytes) -> Iterable[bytes]:
        whole = reply_to(packet, records=[f"10.0.{i // 250}.{i % 250}" for i in range(3000)])
        return (
            [whole]
            if resolver.tcp
            else [whole[:2] + bytes((whole[2] | 2,)) + whole[3:6] + bytes(6) + packet[12:]]
        )

    resolver.behave = cut_on_udp
    async with resolver.serving(port), host(tmp_path, "127.0.0.2", port=port) as vm:
        assert (await vm.ask(QUESTION)).header.tc == 1
        async with vm.connected() as stream:
            stream.send(QUESTION)
            reply = await stream.receive()
            assert len(reply) > 48_000
            assert (reply[:2], reply[6:8]) == (QUESTION[:2], (3000).to_bytes(2, "big"))


async def test_a_large_reply_reaches_a_client_that_can_take_it_and_is_cut_for_one_that_cannot(
    tmp_path: Path,
) -> None:
    """Istio's agent reads at most 512 bytes if the client did not say more, and fails."""
    port = free_port()
    records = [f"10.0.0.{i}" for i in range(250)]
    async with Resolver("127.0.0.2", lambda packet: [reply_to(packet, records=records)]).serving(port):
        async with host(tmp_path, "127.0.0.2", port=port) as vm:
            reply = await vm.ask(ask("www.example.com", size=4096))
            assert (len(reply.rr), reply.header.tc) == (250, 0)
            packet = await vm.exchange(QUESTION)
            assert len(packet) <= 512
            assert packet[2] & 2


# --- bounds and changes -----------------------------------------------------------------------------------


async def test_beyond_the_bound_questions_fail_at_once_and_the_others_are_not_hurt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "MAX_IN_FLIGHT", 20)
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port):
        async with host(tmp_path, "127.0.0.2", port=port, forward_timeout=2.0) as vm:
            await vm.learn(productpage_mesh="240.240.0.1")
            replies = asyncio.gather(*(vm.exchange(QUESTION, within=5) for _ in range(50)))
            await asyncio.sleep(0.2)
            assert vm.server.counters.overload == 30
            assert answers(await vm.ask(ask("productpage.mesh"), within=1))
            assert {packet[3] & 15 for packet in await replies} == {Rcode.SERVFAIL}


async def test_the_host_s_resolvers_may_change_under_load(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", address("2.2.2.2")).serving(port):
        async with Resolver("127.0.0.3", address("3.3.3.3")).serving(port):
            async with host(tmp_path, "127.0.0.2", port=port) as vm:
                assert (await taken(vm))[1] == "2.2.2.2"
                seen = []
                for text in ("", "search corp.example\n", conf("127.0.0.3")):
                    vm.resolv_conf.write_text(text)
                    end = time.monotonic() + 1.1
                    while time.monotonic() < end:
                        seen.append((await taken(vm))[1])
                assert seen[-1] == "3.3.3.3"
                assert seen == sorted(seen)
