"""Behind a real resolver: dnsmasq, as Debian ships it."""

import asyncio
import contextlib
import getpass
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dnslib import DNSRecord

from tests.flow.dns.world import host
from tests.ports import free_port
from tests.unit.dns.packets import answers, ask
from vmagent.dns.message import Rcode

WHERE = "127.0.0.2"


@contextlib.contextmanager
def dnsmasq(folder: Path, port: int) -> Iterator[None]:
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        pytest.fail("dnsmasq is missing: make setup installs it")
    config = folder / "dnsmasq.conf"
    config.write_text(
        "no-resolv\nno-hosts\nbind-interfaces\nlocal=/#/\nedns-packet-max=4096\n"
        "host-record=www.example.com,5.5.5.5\n"
        "host-record=printer.corp.example,10.9.8.7,2001:db8::7\n"
        "ptr-record=7.8.9.10.in-addr.arpa,printer.corp.example\n"
        "srv-host=_ldap._tcp.corp.example,printer.corp.example,389\n"
        + "".join(f"txt-record=large.example,{'x' * 200}{i}\n" for i in range(10))
    )
    command = [program, "--keep-in-foreground", f"--conf-file={config}", f"--port={port}"]
    command += [f"--listen-address={WHERE}", f"--user={getpass.getuser()}", "--pid-file="]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        _await(port, process)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=5)


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.05)
        for _ in range(100):
            assert process.poll() is None, process.communicate()[1].decode()
            with contextlib.suppress(OSError):
                sock.sendto(ask("www.example.com"), (WHERE, port))
                sock.recv(512)
                return
    raise AssertionError("dnsmasq does not answer")


async def test_every_kind_of_record_comes_through(tmp_path: Path) -> None:
    port = free_port()
    with dnsmasq(tmp_path, port):
        async with host(tmp_path, WHERE, port=port) as vm:
            await vm.learn(productpage_mesh="240.240.0.1")
            for name, kind, data in (
                ("www.example.com", "A", "5.5.5.5"),
                ("printer.corp.example", "AAAA", "2001:db8::7"),
                ("7.8.9.10.in-addr.arpa", "PTR", "printer.corp.example."),
                ("_ldap._tcp.corp.example", "SRV", "0 0 389 printer.corp.example."),
                ("productpage.mesh", "A", "240.240.0.1"),
            ):
                udp = await vm.ask(ask(name, kind))
                assert answers(udp)[0] == (f"{name}.", kind, data)
                async with vm.connected() as stream:
                    stream.send(ask(name, kind))
                    assert answers(DNSRecord.parse(await stream.receive()))[0] == (f"{name}.", kind, data)
            assert (await vm.ask(ask("nowhere.example"))).header.rcode == Rcode.NXDOMAIN
            assert vm.server.counters.upstream_failures == 0


async def test_a_large_answer_comes_by_edns_or_by_tcp(tmp_path: Path) -> None:
    port = free_port()
    with dnsmasq(tmp_path, port):
        async with host(tmp_path, WHERE, port=port) as vm:
            assert (await vm.ask(ask("large.example", "TXT"))).header.tc == 1
            assert len((await vm.ask(ask("large.example", "TXT", size=4096))).rr) == 10
            async with vm.connected() as stream:
                stream.send(ask("large.example", "TXT"))
                assert len(DNSRecord.parse(await stream.receive()).rr) == 10


async def test_a_restart_of_the_resolver_is_over_when_it_is_over(tmp_path: Path) -> None:
    port = free_port()
    with dnsmasq(tmp_path, port):
        async with host(tmp_path, WHERE, port=port) as vm:
            assert answers(await vm.ask(ask("www.example.com")))
    async with host(tmp_path, WHERE, port=port) as vm:
        assert (await vm.ask(ask("www.example.com"))).header.rcode == Rcode.SERVFAIL
        with dnsmasq(tmp_path, port):
            assert answers(await vm.ask(ask("www.example.com")))


async def test_a_thousand_questions_at_once_are_all_answered(tmp_path: Path) -> None:
    port = free_port()
    with dnsmasq(tmp_path, port):
        async with host(tmp_path, WHERE, port=port) as vm:
            await vm.learn(productpage_mesh="240.240.0.1")
            for _ in range(4):
                names = ["www.example.com" if i % 2 else "productpage.mesh" for i in range(250)]
                replies = await asyncio.gather(*(vm.ask(ask(name)) for name in names))
                assert [answers(reply)[0][2] for reply in replies] == [
                    "5.5.5.5" if i % 2 else "240.240.0.1" for i in range(250)
                ]
