"""Beginning and end of the DNS server."""

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from dnslib import DNSRecord

from tests.flow.dns.world import LOCALHOST, Resolver, host, silence, until
from tests.ports import free_port
from tests.unit.dns.packets import answers, ask
from vmagent.config.model import Address
from vmagent.dns.config import DnsConfig
from vmagent.dns.message import Rcode
from vmagent.dns.server import DnsServer
from vmagent.errors import Misconfigured
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.runtime.watchdog import Watchdog
from vmagent.xds.names import NameTable


def server(folder: Path, listen: str) -> DnsServer:
    tables: Latest[NameTable] = Latest()
    config = DnsConfig(
        listen=Address.parse(listen), namespace="", domain="", resolv_conf=folder / "resolv.conf"
    )
    return DnsServer(config, tables, clock=SystemClock(), serving=lambda: None)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_whoever_has_the_port_is_named(tmp_path: Path, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((LOCALHOST, 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Misconfigured) as refusal:
            server(tmp_path, where).bind()
    assert f"DNS_PROXY_ADDR = {where}" in str(refusal.value)
    assert f"pid {os.getpid()} (" in str(refusal.value)
    assert "cluster.env" in refusal.value.hint


@pytest.mark.parametrize("listen", ["192.0.2.1:15053", "dns.example:15053"])
def test_an_address_that_is_not_ours_is_refused_with_a_remedy(tmp_path: Path, listen: str) -> None:
    with pytest.raises(Misconfigured, match="DNS_PROXY_ADDR") as refusal:
        server(tmp_path, listen).bind()
    assert refusal.value.hint


async def test_questions_before_the_thread_runs_wait_for_it(tmp_path: Path) -> None:
    """Sockets are bound in the build phase; what arrives between then and the first turn is not lost."""
    dns = server(tmp_path, f"127.0.0.1:{free_port()}")
    where = dns.bind()[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(ask("www.example.com"), (where.host, where.port))
        running = asyncio.gather(dns.run())
        async with asyncio.timeout(5):
            reply = await asyncio.get_running_loop().sock_recv(sock, 512)
        assert DNSRecord.parse(reply).header.rcode == Rcode.SERVFAIL
        await dns.drain()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_what_is_under_way_when_we_stop_is_answered_and_the_port_is_free(tmp_path: Path) -> None:
    port = free_port()
    async with Resolver("127.0.0.2", silence).serving(port) as resolver:
        async with host(tmp_path, "127.0.0.2", port=port) as vm:
            async with vm.connected() as stream:
                stream.send(ask("www.example.com"))
                udp = asyncio.gather(vm.ask(ask("www.example.com")))
                await until(lambda: resolver.udp and resolver.tcp)
                before = time.monotonic()
                vm.stop.set()
                assert DNSRecord.parse(await stream.receive()).header.rcode == Rcode.SERVFAIL
                assert (await udp)[0].header.rcode == Rcode.SERVFAIL
                assert await stream.ended()
                assert time.monotonic() - before < vm.server.grace
    again = server(tmp_path, str(vm.where))
    assert again.bind() == (vm.where,)
    assert again._sockets is not None
    again._sockets.close()


async def test_stopping_without_work_takes_no_time(tmp_path: Path) -> None:
    before = time.monotonic()
    async with host(tmp_path, "10.0.0.1") as vm:
        await vm.learn(productpage_mesh="240.240.0.1")
        assert answers(await vm.ask(ask("productpage.mesh")))
        before = time.monotonic()
    assert time.monotonic() - before < 0.5


async def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    port = free_port()
    before = None
    async with Resolver("127.0.0.2", silence).serving(port):
        for _ in range(3):
            async with host(tmp_path, "127.0.0.2", "127.0.0.3", port=port, forward_timeout=0.3) as vm:
                await asyncio.gather(*(vm.exchange(ask("www.example.com")) for _ in range(20)))
                async with vm.connected() as stream:
                    stream.send(ask("www.example.com"))
                    await stream.receive()
            now = len(os.listdir("/proc/self/fd"))
            assert before is None or now <= before
            before = now


async def test_a_bug_in_the_thread_ends_the_agent_instead_of_leaving_it_half_alive(tmp_path: Path) -> None:
    async def meet_a_bug() -> None:
        async with host(tmp_path, "10.0.0.1") as vm:
            assert vm.server._service is not None
            vm.server._service.resolver.table = None  # type: ignore[assignment]  # the bug
            await vm.exchange(ask("www.example.com"), within=5)

    with pytest.RaisesGroup(AttributeError, flatten_subgroups=True):
        await meet_a_bug()


class Hung:
    """A name table that finds nothing until it is let go."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def fast(self, packet: bytes) -> None:
        """There is no prebuilt answer."""

    def find(self, name: object, search: object) -> None:
        self.asked.set()
        assert self.go_on.wait(10)


async def test_a_thread_that_hangs_gives_no_sign_of_life_until_it_goes_on(tmp_path: Path) -> None:
    told: list[str] = []
    async with host(tmp_path, "10.0.0.1") as vm:
        watchdog = Watchdog(told.append, patience=30)
        watchdog.pulses = (vm.server.pulse,)
        watchdog.beat()
        await until(lambda: not vm.server.pulse.is_missing)
        hung = Hung()
        assert vm.server._service is not None
        vm.server._service.resolver.table = hung  # type: ignore[assignment]
        question = asyncio.gather(vm.exchange(ask("www.example.com")), return_exceptions=True)
        assert await asyncio.to_thread(hung.asked.wait, 10)
        for _ in range(3):
            watchdog.beat()
        assert told == ["WATCHDOG=1"] * 2, "asked once more, and not answered"
        hung.go_on.set()
        await until(lambda: not vm.server.pulse.is_missing)
        watchdog.beat()
        assert told == ["WATCHDOG=1"] * 3
        await question


def left_behind(folder: Path, listen: str) -> tuple[str, list[int]]:
    """Where a predecessor listened, and its sockets, which somebody kept open."""
    first = server(folder, listen)
    where = str(first.bind()[0])
    kept = [os.dup(number) for number in first.descriptors]
    first.close()
    return where, kept


def test_the_sockets_of_a_predecessor_are_gone_on_with_and_what_waits_in_them(tmp_path: Path) -> None:
    where, kept = left_behind(tmp_path, f"127.0.0.1:{free_port()}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"question", (LOCALHOST, int(where.rpartition(":")[2])))
        dns = server(tmp_path, where)
        dns.bind(kept)
        assert set(dns.descriptors) == set(kept)
        with socket.socket(fileno=os.dup(kept[0])) as inherited:
            assert inherited.recv(100) == b"question"
        dns.close()


def test_sockets_of_a_predecessor_at_another_address_are_closed(tmp_path: Path) -> None:
    where, kept = left_behind(tmp_path, f"127.0.0.1:{free_port()}")
    pipe = os.pipe()
    dns = server(tmp_path, f"127.0.0.1:{free_port()}")
    dns.bind([*kept, *pipe])
    again = server(tmp_path, where)
    again.bind()
    for made in (dns, again):
        made.close()
    for number in pipe:  # no sockets: nobody's business here
        os.close(number)
