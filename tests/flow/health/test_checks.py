"""Each kind of probe against a real peer on a real socket; the sentences are those an operator reads in the
WorkloadEntry."""

import asyncio
import contextlib
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509

from tests.authority import Authority
from tests.ports import free_port
from tests.processes import alive
from vmagent._pb import wire_pb2 as wire
from vmagent.health.checks import check
from vmagent.health.config import Exec, Grpc, Header, HttpGet, Method, ProbeConfig, TcpSocket

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def probe(method: Method, *, host: str = "127.0.0.1", timeout: float = 1.0) -> ProbeConfig:
    return ProbeConfig(method=method, default_host=host, timeout=timeout)


class Application:
    """Hears one request per connection and answers as told."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.heard: list[bytes] = []
        self.peers: list[str] = []
        self.port = 0
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @contextlib.asynccontextmanager
    async def running(
        self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> AsyncIterator["Application"]:
        server = await asyncio.start_server(self._serve, host, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._open.values():
                writer.transport.abort()
            await asyncio.gather(*(task for task in self._open if task))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[asyncio.current_task()] = writer
        self.peers.append(writer.get_extra_info("peername")[0])
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            if self._answers:
                writer.write(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
                await writer.drain()
            else:
                await reader.read()
        writer.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# --- httpGet -----------------------------------------------------------------------------------------------


async def test_an_http_probe_comes_from_the_address_that_capture_lets_through() -> None:
    async with Application(OK).running() as app:
        method = HttpGet(port=app.port, path="/ready", headers=(Header(name="X-A", value="1"),))
        assert await check(probe(method)) is None
    assert app.peers == ["127.0.0.6"]
    assert app.heard[0].startswith(b"GET /ready HTTP/1.1\r\n")
    assert b"X-A: 1\r\n" in app.heard[0]
    assert b"User-Agent: istio-probe/1.0\r\n" in app.heard[0]


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_a_status_from_200_to_399_is_healthy(status: int) -> None:
    async with Application(f"HTTP/1.1 {status} X\r\n\r\n".encode()).running() as app:
        assert await check(probe(HttpGet(port=app.port))) is None


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_another_status_is_told(status: int) -> None:
    async with Application(f"HTTP/1.1 {status} X\r\n\r\n".encode()).running() as app:
        said = await check(probe(HttpGet(port=app.port)))
        assert said == f'Get "http://127.0.0.1:{app.port}/": status {status}, which is not from 200 to 399'


async def test_an_application_that_does_not_listen_is_told_with_both_ends() -> None:
    port = free_port()
    said = await check(probe(HttpGet(port=port)))
    assert said == (
        f'Get "http://127.0.0.1:{port}/": dial tcp 127.0.0.6:0->127.0.0.1:{port}: connect: connection refused'
    )


async def test_an_application_that_hangs_is_given_up_in_time() -> None:
    async with Application().running() as app:
        began = time.monotonic()
        said = await check(probe(HttpGet(port=app.port), timeout=0.2))
        assert time.monotonic() - began < 0.5
    assert said is not None
    assert said.endswith(": no answer within 0.2 s")


async def test_interim_answers_are_passed_over() -> None:
    async with Application(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK).running() as app:
        assert await check(probe(HttpGet(port=app.port))) is None


async def test_redirects_are_followed_and_the_last_answer_counts() -> None:
    answers = (b"HTTP/1.1 302 Found\r\nLocation: /two\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n")
    async with Application(*answers).running() as app:
        said = await check(probe(HttpGet(port=app.port, path="/one")))
    assert said is not None
    assert "status 503" in said
    assert [heard.split()[1] for heard in app.heard] == [b"/one", b"/two"]


async def test_a_circle_of_redirects_ends() -> None:
    async with Application(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n").running() as app:
        said = await check(probe(HttpGet(port=app.port)))
    assert said is not None
    assert said.endswith("more than 10 redirects")
    assert len(app.heard) == 11


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP"),
        (b"", "closed before an answer"),
        (b"HTTP/1.1 200 OK\r\n", "closed before an answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "more than 65536 bytes of headers"),
        (b"HTTP/1.1 302 Found\r\nLocation: gopher://x\r\n\r\n", "which is not http"),
    ],
)
async def test_a_strange_answer_is_told(answer: bytes, sentence: str) -> None:
    async with Application(answer).running() as app:
        said = await check(probe(HttpGet(port=app.port)))
    assert said is not None
    assert sentence in said


async def test_https_does_not_ask_who_the_application_is(tmp_path: Path) -> None:
    key, chain = Authority().server(x509.DNSName("elsewhere"))
    (tmp_path / "pem").write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    async with Application(OK).running(tls=context) as app:
        assert await check(probe(HttpGet(port=app.port, tls=True))) is None


async def test_https_to_a_plain_port_is_told() -> None:
    async with Application(b"HTTP/1.1 400 Bad Request\r\n\r\n").running() as app:
        said = await check(probe(HttpGet(port=app.port, tls=True), timeout=0.5))
    assert said is not None
    assert said.startswith(f'Get "https://127.0.0.1:{app.port}/": ')


async def test_a_name_that_does_not_resolve_is_told() -> None:
    said = await check(probe(HttpGet(port=80, host="nowhere.invalid"), timeout=10.0))
    assert said is not None
    assert "lookup of nowhere.invalid" in said


async def test_an_ipv6_application_is_reached() -> None:
    async with Application(OK).running(host="::1") as app:
        assert await check(probe(HttpGet(port=app.port), host="::1")) is None


# --- tcpSocket ---------------------------------------------------------------------------------------------


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


# --- exec --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("true",), None),
        (("false",), "command false: exit status 1"),
        (("sh", "-c", "exit 7"), "command sh: exit status 7"),
        (("sh", "-c", "kill -9 $$"), "command sh: ended by signal 9"),
        (("/nowhere/x", "y"), "command /nowhere/x: no such file or directory"),
        (("/etc/passwd",), "command /etc/passwd: permission denied"),
    ],
)
async def test_an_exec_probe_goes_by_the_exit_status(command: tuple[str, ...], said: str | None) -> None:
    assert await check(probe(Exec(command=command))) == said


async def test_an_exec_probe_uses_no_shell() -> None:
    code = "import sys; sys.exit(sys.argv[1] != '$HOME; exit 1')"
    assert await check(probe(Exec(command=(sys.executable, "-c", code, "$HOME; exit 1")), timeout=5)) is None


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = ("sh", "-c", f"sleep 60 & echo $! > {mark}; wait")
    said = await check(probe(Exec(command=command), timeout=0.3))
    assert said == "command sh: did not end within 0.3 s and was killed"
    child = int(mark.read_text())
    for _ in range(100):
        if not alive(child):
            break
        await asyncio.sleep(0.02)
    assert not alive(child)


async def test_output_of_a_command_does_not_stop_it() -> None:
    assert await check(probe(Exec(command=("head", "-c", "1000000", "/dev/zero")))) is None


# --- grpc --------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def health_server(answer: int | grpc.StatusCode | None, *, port: int = 0) -> AsyncIterator[int]:
    """A status, an error, or (None) a server without the service. Hangs for -1."""

    async def respond(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        assert wire.HealthCheckRequest.FromString(request).service == "shop"
        metadata = dict(context.invocation_metadata() or ())
        assert str(metadata["user-agent"]).startswith("istio-probe/1.0")
        if isinstance(answer, grpc.StatusCode):
            await context.abort(answer, "some\nwords")
        if answer == -1:
            await asyncio.sleep(60)
        return wire.HealthCheckResponse(status=answer).SerializeToString()  # type: ignore[arg-type]  # any number

    server = grpc.aio.server()
    if answer is not None:
        handler = grpc.unary_unary_rpc_method_handler(respond)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (wire.HealthCheckResponse.SERVING, None),
        (wire.HealthCheckResponse.NOT_SERVING, "NOT_SERVING"),
        (wire.HealthCheckResponse.UNKNOWN, "UNKNOWN"),
        (17, "status 17"),
        (None, "the server does not implement grpc.health.v1.Health"),
        (grpc.StatusCode.NOT_FOUND, "the server does not know this service"),
        (grpc.StatusCode.INTERNAL, "INTERNAL: some words"),
        (-1, "no answer within 0.5 s"),
    ],
)
async def test_a_grpc_probe_wants_to_hear_serving(
    answer: int | grpc.StatusCode | None, sentence: str | None
) -> None:
    async with health_server(answer) as port:
        said = await check(probe(Grpc(port=port, service="shop"), timeout=0.5))
        if sentence is None:
            assert said is None
        else:
            assert said == f"grpc health of shop at 127.0.0.1:{port}: {sentence}"


async def test_a_grpc_probe_that_found_nobody_does_not_spoil_the_next_one() -> None:
    """gRPC pauses between attempts to connect; each probe must be an attempt."""
    async with health_server(wire.HealthCheckResponse.SERVING) as port:
        pass
    method = Grpc(port=port, service="shop")
    said = await check(probe(method))
    assert said is not None
    assert said.startswith(f"grpc health of shop at 127.0.0.1:{port}: cannot connect: ")
    assert "refused" in said
    async with health_server(wire.HealthCheckResponse.SERVING, port=port):
        assert await check(probe(method, timeout=0.5)) is None
