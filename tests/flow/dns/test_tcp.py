"""Clients that come by TCP, the impatient, the slow and the silly ones."""

import asyncio
from pathlib import Path

import pytest
from dnslib import DNSRecord

from tests.flow.dns.world import LOCALHOST, Resolver, address, host, silence, until
from tests.ports import free_port
from tests.unit.dns.packets import answers, ask
from vmagent.dns import tcp
from vmagent.dns.message import Rcode
from vmagent.dns.tcp import PIPELINE

MESH = ask("productpage.mesh")


async def test_several_questions_share_a_connection(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", address("5.5.5.5")).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", port=port) as vm, vm.connected() as stream:
            await vm.learn(productpage_mesh="240.240.0.1")
            count = 3 * PIPELINE
            names = [f"host{i}.example" if i % 2 else "productpage.mesh" for i in range(count)]
            stream.send(*(ask(name, ident=i) for i, name in enumerate(names)))
            replies = [DNSRecord.parse(await stream.receive()) for _ in range(count)]
            assert sorted(reply.header.id for reply in replies) == list(range(count))
            for reply in replies:
                assert str(reply.q.qname) == f"{names[reply.header.id]}."
                assert answers(reply)[0][2] == ("5.5.5.5" if reply.header.id % 2 else "240.240.0.1")
            assert (len(resolver.udp), len(resolver.tcp)) == (0, count // 2)


async def test_a_question_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with host(tmp_path, "10.0.0.1") as vm, vm.connected() as stream:
        await vm.learn(productpage_mesh="240.240.0.1")
        for byte in len(MESH).to_bytes(2, "big") + MESH:
            stream.writer.write(bytes((byte,)))
            await stream.writer.drain()
            await asyncio.sleep(0)
        assert answers(DNSRecord.parse(await stream.receive()))


async def test_a_client_that_has_said_everything_still_gets_its_answers(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", address("5.5.5.5")).serving(port):
        async with host(tmp_path, "127.0.0.2", port=port) as vm, vm.connected() as stream:
            count = 2 * PIPELINE
            stream.send(*(ask("www.example.com", ident=i) for i in range(count)))
            stream.writer.write_eof()
            for _ in range(count):
                assert answers(DNSRecord.parse(await stream.receive()))
            assert await stream.ended()


async def test_garbage_ends_the_connection_and_a_bad_question_does_not(tmp_path: Path) -> None:
    async with host(tmp_path, "10.0.0.1") as vm:
        await vm.learn(productpage_mesh="240.240.0.1")
        async with vm.connected() as stream:
            stream.send(MESH[:20], MESH)
            assert DNSRecord.parse(await stream.receive()).header.rcode == Rcode.FORMERR
            assert answers(DNSRecord.parse(await stream.receive()))
        async with vm.connected() as stream:
            stream.writer.write(b"GET / HTTP/1.1\r\n\r\n" * 2000)
            assert DNSRecord.parse(await stream.receive()).header.rcode == Rcode.FORMERR
        for junk in (b"\0\0", b"\0\x05hello"):
            async with vm.connected() as stream:
                stream.writer.write(junk)
                assert await stream.ended()


async def test_a_client_that_does_not_read_stops_being_read_and_hurts_nobody(tmp_path: Path) -> None:
    async with host(tmp_path, "10.0.0.1") as vm, vm.connected() as slow:
        await vm.learn(giant_mesh=" ".join(f"10.0.{i}.{j}" for i in range(8) for j in range(250)))
        giant = ask("giant.mesh")
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        before = vm.server.counters.requests
        slow.send(*[giant] * 2000)
        await asyncio.sleep(0.3)
        assert vm.server.counters.requests - before < 1000
        assert answers(await vm.ask(ask("giant.mesh", size=4096), within=1))
        slow.reader._transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(2000):
            assert len(await slow.receive()) > 32_000


async def test_an_idle_connection_ends_also_if_single_bytes_trickle_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "IDLE", 0.5)
    async with host(tmp_path, "10.0.0.1") as vm, vm.connected() as idle, vm.connected() as trickling:
        end = asyncio.get_running_loop().time() + 3
        trickling.writer.write(b"\xff")
        while not trickling.reader.at_eof() and asyncio.get_running_loop().time() < end:
            trickling.writer.write(b"\xff")
            await asyncio.sleep(0.1)
        assert trickling.reader.at_eof()
        assert await idle.ended()


async def test_silent_connections_make_room_for_those_who_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 5)
    async with host(tmp_path, "10.0.0.1") as vm:
        await vm.learn(productpage_mesh="240.240.0.1")
        silent = [await asyncio.open_connection(LOCALHOST, vm.where.port) for _ in range(5)]
        async with vm.connected() as stream:
            stream.send(MESH)
            assert answers(DNSRecord.parse(await stream.receive()))
        assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()


async def test_if_all_connections_are_busy_the_next_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 1)
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", port=port, forward_timeout=1.0) as vm:
            async with vm.connected() as busy:
                busy.send(ask("www.example.com"))
                await until(lambda: resolver.tcp)
                async with vm.connected() as refused:
                    assert await refused.ended()
                assert DNSRecord.parse(await busy.receive()).header.rcode == Rcode.SERVFAIL
            assert vm.server.counters.overload == 1


async def test_a_client_that_hangs_up_is_forgotten(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", port=port, forward_timeout=1.0) as vm:
            async with vm.connected() as stream:
                stream.send(ask("www.example.com"))
                await until(lambda: resolver.tcp)
                stream.writer.transport.abort()
            await vm.learn(productpage_mesh="240.240.0.1")
            assert answers(await vm.ask(MESH))
            await until(lambda: vm.server.counters.upstream_failures)
            assert answers(await vm.ask(MESH))
