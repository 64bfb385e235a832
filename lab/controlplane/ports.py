"""The three doors of the control plane: gRPC behind TLS, the Kubernetes-shaped API, monitoring.

Owns:      in which order they open and close, and that none stays open when one cannot be had.
Does not:  know what is behind them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import grpc.aio

from lab.controlplane.front import TlsFront
from lab.controlplane.http import HttpServer
from lab.controlplane.settings import Endpoint

GO_AWAY_GRACE_MS: Final = 10_000
"""Between asking a client of maximum age to leave and closing its connection, as Istio's chart has it."""

LEAST_PING_INTERVAL_MS: Final = 15_000
"""Clients that ping more often are sent away, as istiod does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where, or where to; port 0 lets the kernel choose."""

    discovery: Endpoint
    api: Endpoint
    monitoring: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    wire: grpc.aio.Server
    front: TlsFront
    api: HttpServer
    monitoring: HttpServer

    async def open(self, at: Listening) -> Listening:
        """Where they really listen. Raises OSError when a port cannot be had; nothing is left open then."""
        await self.wire.start()
        try:
            return Listening(
                discovery=await self.front.start(at.discovery),
                api=await self.api.start(at.api),
                monitoring=await self.monitoring.start(at.monitoring),
            )
        except OSError:
            await self.close()
            raise

    async def close(self) -> None:
        """Streams end at once."""
        await self.monitoring.stop()
        await self.api.stop()
        await self.front.stop()
        await self.wire.stop(grace=None)


def plaintext_server(
    handlers: "Iterable[grpc.GenericRpcHandler[Any, Any]]", *, max_connection_age: float
) -> tuple[grpc.aio.Server, int]:
    """On a port of loopback, for the front. ``max_connection_age`` in seconds; 0 is for ever."""
    options: tuple[tuple[str, int], ...] = (
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_INTERVAL_MS),
    )
    if max_connection_age:
        age = ("grpc.max_connection_age_ms", int(max_connection_age * 1000))
        options = (*options, age, ("grpc.max_connection_age_grace_ms", GO_AWAY_GRACE_MS))
    # Or gRPC ends its thread with the last of its objects, and waits for it, now and then for ever.
    grpc.aio.init_grpc_aio()  # type: ignore[attr-defined]  # public, and not in the stubs
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers(tuple(handlers))
    return server, server.add_insecure_port("127.0.0.1:0")
