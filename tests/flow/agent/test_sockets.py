"""The two sockets that Envoy talks to, as whoever meddles with them sees them."""

import asyncio
import contextlib
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.flow.xds.machine import until
from vmagent import sockets
from vmagent.runtime.lifecycle import Tasks
from vmagent.sockets import MOST_SERVERS, EnvoySockets

NOBODY = 65534
METHOD = "/echo/Echo"
NOTICED = 20.0
"""Seconds on a busy machine; the agent looks every second."""


async def _echo(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
    async for each in requests:
        yield each


HANDLER = grpc.method_handlers_generic_handler("echo", {"Echo": grpc.stream_stream_rpc_method_handler(_echo)})


class Serving:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.part = EnvoySockets({path: HANDLER}, self.said.append)


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Serving]:
    made = Serving(path)
    async with Tasks() as tasks:
        running = tasks.start("sockets", made.part.run())
        try:
            yield made
        finally:
            await made.part.drain()
            running.cancel()


@contextlib.asynccontextmanager
async def stream(path: Path) -> AsyncIterator["grpc.aio.StreamStreamCall[bytes, bytes]"]:
    async with grpc.aio.insecure_channel(f"unix:{path}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel.stream_stream(METHOD, bytes, bytes)()  # type: ignore[call-arg]


async def echoes(call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> bool:
    await call.write(b"hello")
    return bool(await call.read() == b"hello")


async def answers(path: Path) -> bool:
    try:
        async with asyncio.timeout(1), stream(path) as call:
            return await echoes(call)
    except (grpc.aio.AioRpcError, TimeoutError):
        return False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "proxy" / "XDS"


async def test_a_socket_that_is_removed_is_made_again_and_its_streams_go_on(path: Path) -> None:
    async with serving(path):
        await until(path.exists)
        async with stream(path) as before:
            assert await echoes(before)
            path.unlink()
            await until(path.exists, within=NOTICED)
            assert await answers(path)
            assert await echoes(before)
    assert not path.exists()


async def test_so_is_one_whose_directory_went_or_that_something_else_took(path: Path) -> None:
    async with serving(path) as made:
        await until(path.exists)
        path.unlink()
        path.parent.rmdir()
        await until(path.exists, within=NOTICED)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        path.unlink()
        path.write_text("no socket")
        await until(lambda: "cannot be served" in made.said[-1], within=NOTICED)
        path.unlink()
        await until(lambda: made.said[-1] == "" and path.exists(), within=NOTICED)
        assert await answers(path)


async def test_what_takes_its_place_before_we_look_is_noticed_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the binding and the look at what was bound."""
    chmod = Path.chmod

    def taken(here: Path, mode: int) -> None:
        if here == path:
            here.unlink()
            here.write_text("no socket")
        chmod(here, mode)

    monkeypatch.setattr(Path, "chmod", taken)
    async with serving(path) as made:
        await until(path.is_file)
        monkeypatch.undo()
        await until(lambda: "cannot be served" in "".join(made.said), within=NOTICED)


async def test_however_often_it_is_removed_few_servers_stay(path: Path) -> None:
    async with serving(path) as made:
        for _ in range(MOST_SERVERS + 2):
            await until(path.exists, within=NOTICED)
            path.unlink()
        await until(path.exists, within=NOTICED)
        await until(lambda: len(made.part._servers) <= MOST_SERVERS)
        assert await answers(path)


@pytest.mark.parametrize("left", ["a socket nobody listens on", "one that another process had"])
async def test_a_stale_socket_never_stands_in_the_way_of_a_start(path: Path, left: str) -> None:
    path.parent.mkdir(mode=0o700)
    old = socket.socket(socket.AF_UNIX)
    old.bind(str(path))
    if "another" in left:
        old.listen()
    old.close()
    began = time.monotonic()
    async with serving(path):
        while not await answers(path):
            assert time.monotonic() - began < NOTICED


async def test_what_a_stop_takes_away_is_not_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC removes the socket at once, and waits for streams that go on, as an Envoy's do."""
    monkeypatch.setattr(sockets, "AGAIN", 0.001)
    async with contextlib.AsyncExitStack() as until_it_is_over:
        async with serving(path) as made:
            await until(path.exists)
            call = await until_it_is_over.enter_async_context(stream(path))
            assert await echoes(call)
    assert len(made.part._servers) == 1
    assert not path.exists()


CONNECT = """
import os, socket, sys
os.setgid(int(sys.argv[2])); os.setgroups([]); os.setuid(int(sys.argv[2]))
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except PermissionError:
    sys.exit(13)
"""


def connecting(path: Path, user: int) -> int:
    return subprocess.run([sys.executable, "-I", "-c", CONNECT, str(path), str(user)], check=False).returncode


async def test_another_users_connect_is_refused(path: Path) -> None:
    for above in (path.parents[1], *path.parents[1].parents):
        if above.stat().st_uid == 0 and len(above.parts) > 2:
            above.chmod(above.stat().st_mode | 0o055)  # the way there is open to all
    async with serving(path):
        await until(path.exists)
        assert await asyncio.to_thread(connecting, path, NOBODY) == 13
        assert await asyncio.to_thread(connecting, path, 0) == 0
        path.parent.chmod(0o755)
        assert await asyncio.to_thread(connecting, path, NOBODY) == 13, "nor by the socket's own mode"
