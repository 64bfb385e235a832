"""Runs one probe against the real application: the room's only door to sockets.

Owns:      the four methods of Istio's readinessProbe and the sentence for each way they can fail.
Does not:  run commands (command.py); count, repeat or report (verdict.py, watch.py).
Surprise:  HTTP and TCP probes start from 127.0.0.6, which the capture rules let through to the application;
           from any other address a probe of the VM's own address would be answered by Envoy, whether the
           application lives or not.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from vmagent._pb import wire_pb2 as wire
from vmagent.health import http
from vmagent.health.command import Commands
from vmagent.health.config import Exec, Grpc, HttpGet, ProbeConfig, TcpSocket

SOURCES: Final = {socket.AF_INET: "127.0.0.6", socket.AF_INET6: "::6"}
"""Istio's addresses for traffic that must reach the application without another pass through Envoy."""

_NOT_LOCAL: Final = frozenset({errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH})
"""How Linux says that a loopback source cannot reach this target, or (::6) does not exist here."""

LONGEST_DETAIL: Final = 200
"""Characters of a peer's own words in a message that goes to the control plane."""


class Checks:
    """Of one application: of its commands one runs at a time."""

    def __init__(self) -> None:
        self._commands = Commands()

    async def check(self, probe: ProbeConfig) -> str | None:
        """None: healthy. Else what was found, in words an operator knows. Takes at most ``probe.timeout``
        seconds, and a little more for a command that has to be killed.
        """
        match probe.method:
            case HttpGet() as method:
                return await _http_get(method, method.host or probe.default_host, probe.timeout)
            case TcpSocket() as method:
                return await _tcp_socket(method, method.host or probe.default_host, probe.timeout)
            case Exec() as method:
                return await self._commands.run(method, probe.timeout)
            case Grpc() as method:
                return await _grpc(method, probe.default_host, probe.timeout)


# --- httpGet ------------------------------------------------------------------------------------------------


async def _http_get(method: HttpGet, host: str, timeout: float) -> str | None:
    url = http.Url(tls=method.tls, host=host, port=method.port, target=http.target(method.path))
    what = f'Get "{url}"'
    try:
        async with asyncio.timeout(timeout):
            answer = await _get(url, method)
    except TimeoutError:
        return f"{what}: no answer within {timeout:g} s"
    except (OSError, ValueError) as error:
        return f"{what}: {_words(error)}"
    except asyncio.LimitOverrunError:
        return f"{what}: the answer has more than {http.LONGEST_HEAD} bytes of headers"
    except asyncio.IncompleteReadError:
        return f"{what}: the connection was closed before an answer"
    if 200 <= answer.status < 400:
        return None
    return f"{what}: status {answer.status}, which is not from 200 to 399"


async def _get(url: http.Url, method: HttpGet) -> http.Head:
    for hop in range(http.MOST_REDIRECTS + 1):
        answer = await _exchange(url, http.request(url, method.headers, first=hop == 0))
        if not answer.redirects:
            return answer
        url = url.follow(answer.location)
    raise ValueError(f"more than {http.MOST_REDIRECTS} redirects")


async def _exchange(url: http.Url, request: bytes) -> http.Head:
    sock = await _dial(url.host, url.port)
    if not url.tls:
        return await _answer(request, sock=sock)
    from vmagent.health import tls  # 6 MB, for a probe that few have

    with tls.worded():
        return await _answer(request, sock=sock, ssl=tls.no_questions(), server_hostname=url.host)


async def _answer(request: bytes, **connection: Any) -> http.Head:
    reader, writer = await asyncio.open_connection(**connection, limit=http.LONGEST_HEAD)
    try:
        writer.write(request)
        while True:
            answer = http.head(await _head(reader))
            if answer.status >= 200:  # 1xx only announce
                return answer
    finally:
        writer.transport.abort()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """All up to and with the empty line. Lines may end with LF alone, as for Istio's agent (Go's
    net/http)."""
    lines = b""
    while True:
        line = await reader.readuntil(b"\n")
        lines += line
        if len(lines) > http.LONGEST_HEAD:
            raise asyncio.LimitOverrunError("no empty line", len(lines))
        if not line.strip(b"\r\n"):
            return lines


# --- tcpSocket ----------------------------------------------------------------------------------------------


async def _tcp_socket(method: TcpSocket, host: str, timeout: float) -> str | None:
    try:
        async with asyncio.timeout(timeout):
            sock = await _dial(host, method.port)
    except TimeoutError:
        return f"dial tcp {_joined(host, method.port)}: no answer within {timeout:g} s"
    except OSError as error:
        return _words(error)
    sock.close()
    return None


async def _dial(host: str, port: int) -> socket.socket:
    """The first address that takes us; raises the last one's OSError, with a text that names both ends."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"lookup of {host}: {(error.strerror or 'failed').lower()}") from None
    except ValueError:  # UnicodeError of a label that is empty or too long: redirects may name anything
        raise OSError(f"lookup of {host[:LONGEST_DETAIL]!r}: no such name can exist") from None
    problem = OSError(f"lookup of {host}: no address")
    for family, _, _, _, address in found:
        for source in (SOURCES.get(family), None):
            try:
                return await _connect(family, source, address)
            except OSError as error:
                problem = OSError(f"dial tcp {_way(source, address)}: connect: {_words(error)}")
                if error.errno not in _NOT_LOCAL:
                    break
    raise problem


async def _connect(family: int, source: str | None, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if source is not None:
            sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


# --- grpc ---------------------------------------------------------------------------------------------------


async def _grpc(method: Grpc, host: str, timeout: float) -> str | None:
    target = _joined(host, method.port)
    what = f"grpc health of {method.service or 'the server'} at {target}"
    options = [
        ("grpc.primary_user_agent", http.USER_AGENT),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),  # else one failed probe's pause would fail the next
    ]
    async with grpc.aio.insecure_channel(target, options) as channel:
        call = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=wire.HealthCheckRequest.SerializeToString,
            response_deserializer=wire.HealthCheckResponse.FromString,
        )
        try:
            answer = await call(wire.HealthCheckRequest(service=method.service), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return f"{what}: {_status(error, timeout)}"
    if answer.status == wire.HealthCheckResponse.SERVING:
        return None
    return f"{what}: {_state(answer.status)}"


def _status(error: grpc.aio.AioRpcError, timeout: float) -> str:
    words = " ".join((error.details() or "").split())[:LONGEST_DETAIL]
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return f"cannot connect: {words}"
        case grpc.StatusCode.UNIMPLEMENTED:
            return "the server does not implement grpc.health.v1.Health"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer within {timeout:g} s"
        case grpc.StatusCode.NOT_FOUND:
            return "the server does not know this service"
        case code:
            return f"{code.name}: {words}"


def _state(status: int) -> str:
    known = wire.HealthCheckResponse.ServingStatus.items()
    return next((name for name, number in known if number == status), f"status {status}")


# --- words --------------------------------------------------------------------------------------------------


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


def _joined(host: object, port: object) -> str:
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _way(source: str | None, address: tuple[object, ...]) -> str:
    there = _joined(address[0], address[1])
    return f"{_joined(source, 0)}->{there}" if source else there


Check = Callable[[ProbeConfig], Awaitable[str | None]]
"""The shape of ``Checks.check``, for those who take one."""
