"""``tcpSocket`` against a real peer on a real socket, and the sentences that an operator reads."""

import contextlib
import socket

from tests.flow.health.application import Application, probe
from tests.ports import free_port
from vmagent.health.checks import Checks
from vmagent.health.config import TcpSocket

check = Checks().check


async def test_a_tcp_probe_is_content_with_a_connection() -> None:
    async with Application().running() as app:
        assert await check(probe(TcpSocket(port=app.port))) is None


async def test_a_tcp_probe_of_a_closed_port_is_told() -> None:
    port = free_port()
    said = await check(probe(TcpSocket(port=port)))
    assert said == f"dial tcp 127.0.0.6:0->127.0.0.1:{port}: connect: connection refused"


async def test_a_tcp_probe_of_a_full_backlog_is_given_up_in_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", port))
            said = await check(probe(TcpSocket(port=port), timeout=0.3))
    assert said == f"dial tcp 127.0.0.1:{port}: no answer within 0.3 s"


async def test_a_host_of_its_own_goes_before_the_default() -> None:
    async with Application().running() as app:
        method = TcpSocket(port=app.port, host="localhost")
        assert await check(probe(method, host="nowhere.invalid")) is None
