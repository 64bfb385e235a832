"""The two sockets that Envoy talks to: ADS in its configuration directory, SDS where workloads expect it.

Private by their directories (0700): gRPC tells nothing about the peer. That nobody else serves them is what
the daemon's lock says; gRPC itself would silently take over a live path, as it does what a crash left.
A socket that somebody removed is made again; streams that came by the old one go on.
"""

import asyncio
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc

from vmagent.runtime import files
from vmagent.runtime.lifecycle import Tasks

LARGEST_REQUEST = 64 * 1024 * 1024
"""Bytes. Envoy's largest request names every cluster of the mesh: a megabyte for ten thousand."""

AGAIN = 1.0
"""Seconds between looks: what could not be made is tried again, what somebody removed made anew."""

MOST_SERVERS = 8
"""At a time; more than one for each socket only where sockets were removed under us."""

DRAIN = 0.1
"""Seconds for streams to end by themselves. At a stop Envoy is gone by then; one that goes on has streams for
ever.
"""


class EnvoySockets:
    """A Part. ``served``: socket path to the handler that answers there. ``trouble`` hears why one cannot be
    served, and an empty sentence when all are: that is waited for, and no end of the agent.
    """

    name = "sockets"
    grace = DRAIN + 3.0

    def __init__(
        self, served: Mapping[Path, "grpc.GenericRpcHandler[bytes, bytes]"], trouble: Callable[[str], None]
    ) -> None:
        # gRPC ends its thread when the last of its objects is collected, wherever that happens to be, and
        # waits for it, now and then for ever: an agent that stops would hang. One reference stays.
        grpc.aio.init_grpc_aio()  # type: ignore[attr-defined]  # public, and not in the stubs
        self._served = served
        self._trouble = trouble
        self._servers: list[grpc.aio.Server] = []
        self._ours: dict[Path, int | None] = {}
        """Inodes of the sockets that lead to us; None if somebody was there before we could look."""
        self._hands = asyncio.Lock()
        """Whoever makes or takes away sockets has it."""

    async def run(self) -> None:
        while True:
            async with self._hands:
                await self._look()
            await asyncio.sleep(AGAIN)

    async def _look(self) -> None:
        why = ""
        for path, handler in self._served.items():
            ours = self._ours.get(path)
            if ours is None or _inode(path) != ours:
                why = await self._serve(path, handler) or why
        self._trouble(why)

    async def drain(self) -> None:
        # For good: gRPC removes a socket long before its streams have ended, and it shall not be made again.
        await self._hands.acquire()
        async with Tasks() as tasks:
            for server in self._servers:
                tasks.start("close-socket", server.stop(DRAIN))
        for path in self._served:
            files.remove(path)

    async def _serve(self, path: Path, handler: "grpc.GenericRpcHandler[bytes, bytes]") -> str:
        """Empty, or why not and what to do about it."""
        await self._make_room()
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", LARGEST_REQUEST)])
        server.add_generic_rpc_handlers((handler,))
        self._servers.append(server)  # before it starts: a stop meanwhile must find it
        try:
            files.directory(path.parent, mode=0o700)
            server.add_insecure_port(f"unix:{path}")
            await server.start()
            path.chmod(0o600)
            self._ours[path] = _inode(path)
        except (OSError, RuntimeError) as why:
            self._servers.remove(server)
            await server.stop(None)
            return f"{path} cannot be served: {why}; chown -R istio-proxy {path.parent}"
        return ""

    async def _make_room(self) -> None:
        """A server whose socket somebody removed still has the streams that came by it. The oldest goes
        before there are too many; it takes whatever has its path along, so before the new one is made.
        """
        while len(self._servers) >= MOST_SERVERS:
            await self._servers.pop(0).stop(None)


def _inode(path: Path) -> int | None:
    """None where there is no socket."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else None
