"""The control plane of the bench: gRPC and TLS as istiod has them, and nothing behind.

``python -m bench.sender STATE`` serves on port 15012 and tells when it does. Every first request is answered
with what was set for its type, or with nothing; a push is sent when it is asked for, and the answer is the
moment at which that began. Everything is made before the moment, so that what is measured is the way.
"""

import asyncio
import datetime
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from bench import payloads
from lab.controlplane.authority import Authority

ADS: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
CONTROL: Final = "bench.Sender"
PORT: Final = 15012
DIRECT: Final = "direct"
"""Node id of the client that comes without an agent."""

Context = grpc.aio.ServicerContext[Any, Any]
LIMITS: Final = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class Sender:
    def __init__(self) -> None:
        self._streams: dict[str, Context] = {}
        self._answers: dict[tuple[str, bool], bytes] = {}
        self._numbers = itertools.count(1)

    def handlers(self) -> "list[grpc.GenericRpcHandler[Any, Any]]":
        streams = {"StreamAggregatedResources": self.sotw, "DeltaAggregatedResources": self.delta}
        controls = {"Push": self.push, "Serve": self.serve}
        return [
            grpc.method_handlers_generic_handler(
                ADS, {name: grpc.stream_stream_rpc_method_handler(each) for name, each in streams.items()}
            ),
            grpc.method_handlers_generic_handler(
                CONTROL, {name: grpc.unary_unary_rpc_method_handler(each) for name, each in controls.items()}
            ),
        ]

    async def sotw(self, requests: AsyncIterator[bytes], context: Context) -> None:
        await self._stream(requests, context, delta=False)

    async def delta(self, requests: AsyncIterator[bytes], context: Context) -> None:
        await self._stream(requests, context, delta=True)

    async def push(self, request: bytes, _: Context) -> bytes:
        """JSON: ``to`` whom, ``what`` (of payloads.PUSHES), ``delta``. Answers with when."""
        asked = json.loads(request)
        number = next(self._numbers)
        if asked["what"] == payloads.ONE:
            made = payloads.one(str(number))
        else:
            made = payloads.push(asked["what"], delta=asked["delta"])
        data = _numbered(made, number)
        context = self._streams[DIRECT if asked["to"] == DIRECT else ""]
        began = time.monotonic()
        await context.write(data)
        return json.dumps({"began": began, "nonce": str(number)}).encode()

    async def serve(self, request: bytes, _: Context) -> bytes:
        """JSON: ``services``, ``delta``: answer first requests with a mesh of 10 000 services."""
        asked = json.loads(request)
        made = payloads.services(delta=asked["delta"]) if asked["services"] else {}
        self._answers = {(url, asked["delta"]): data for url, data in made.items()}
        return b"{}"

    async def _stream(self, requests: AsyncIterator[bytes], context: Context, *, delta: bool) -> None:
        kind = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
        seen: set[str] = set()
        async for data in requests:
            request = kind.FromString(data)
            if request.HasField("node"):
                self._streams[DIRECT if request.node.id == DIRECT else ""] = context
            if request.type_url in seen or request.type_url.startswith("type.googleapis.com/istio.v1"):
                continue
            seen.add(request.type_url)
            url = request.type_url
            answer = self._answers.get((url, delta)) or payloads.empty(url, delta=delta)
            await context.write(_numbered(answer, next(self._numbers)))


def _numbered(data: bytes, number: int) -> bytes:
    """Of a field that comes twice protobuf takes the last; the nonce has the same number in both variants."""
    return data + bytes(discovery_pb2.DiscoveryResponse(nonce=str(number)).SerializeToString())


async def serve(state: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority = Authority.open(state, trust_domain="cluster.local", now=now)
    key, chain = authority.serving_certificate(("bench",), now)
    server = grpc.aio.server(options=LIMITS)
    server.add_generic_rpc_handlers(tuple(Sender().handlers()))
    server.add_secure_port(f"0.0.0.0:{PORT}", grpc.ssl_server_credentials([(key, chain)]))
    await server.start()
    print("serving", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
