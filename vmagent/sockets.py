"""The two sockets that Envoy talks to: ADS in its configuration directory, SDS where workloads expect it.

Private by their directories (0700): gRPC tells nothing about the peer. That nobody else serves them is what
the daemon's lock says; gRPC itself would silently take over a live path.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import grpc

from vmagent.errors import Misconfigured
from vmagent.runtime import files
from vmagent.runtime.lifecycle import Tasks

LARGEST_REQUEST = 64 * 1024 * 1024
"""Bytes. Envoy's largest request names every cluster of the mesh: a megabyte for ten thousand."""

DRAIN = 0.5
"""Seconds for streams to end by themselves; Envoy is gone by then."""


class EnvoySockets:
    """A Part. ``served``: socket path to the handler that answers there."""

    name = "sockets"
    grace = 1.0

    def __init__(self, served: Mapping[Path, "grpc.GenericRpcHandler[bytes, bytes]"]) -> None:
        self._served = served
        self._servers: list[grpc.aio.Server] = []

    async def run(self) -> None:
        for path, handler in self._served.items():
            self._servers.append(await self._serve(path, handler))
        await asyncio.Event().wait()

    async def drain(self) -> None:
        async with Tasks() as tasks:
            for server in self._servers:
                tasks.start("close-socket", server.stop(DRAIN))
        for path in self._served:
            files.remove(path)

    async def _serve(self, path: Path, handler: "grpc.GenericRpcHandler[bytes, bytes]") -> grpc.aio.Server:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", LARGEST_REQUEST)])
        server.add_generic_rpc_handlers((handler,))
        try:
            files.directory(path.parent, mode=0o700)
            server.add_insecure_port(f"unix:{path}")
            await server.start()
            path.chmod(0o600)
        except (OSError, RuntimeError) as why:
            raise Misconfigured(
                f"{path}: cannot be served: {why}", hint=f"chown -R istio-proxy {path.parent}"
            ) from why
        return server
