"""Whoever stands in Envoy's place: receives pushes straight from the control plane and through the agent.

``python -m bench.receiver`` reads one JSON object a line and answers with one: both ways take turns, so that
a busy moment of the machine hits both.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from bench import payloads
from bench.sender import CONTROL, DIRECT, LIMITS, PORT
from lab.controlplane import type_urls
from vmagent.envoy.bootstrap import EPOCH

PATIENCE: Final = 30.0
PAUSE: Final = 0.8
"""Seconds between pushes: what the last one left to do is done."""

SHORT_PAUSE: Final = 0.2
"""Between small ones, which leave less; the more of them can be counted."""

WINDOW: Final = ("grpc.http2.lookahead_bytes", 16 << 20)
"""Bytes that may be on their way to the client: as many as an Envoy lets its servers send."""

WARM: Final = 2
"""Pushes that are not counted: the first ones find cold caches."""

STOCK: Final = (
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
)
"""What a stock Envoy lists, as far as the clusters of the bench have it."""


@dataclass(slots=True)
class Way:
    """One stream. ``to`` is what the sender calls it."""

    to: str
    delta: bool
    call: Any

    @classmethod
    async def open(cls, channel: grpc.aio.Channel, to: str, *, delta: bool, stock: bool = False) -> "Way":
        """``stock``: says what it has compiled in, as an Envoy does."""
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        method = stub.DeltaAggregatedResources if delta else stub.StreamAggregatedResources
        way = cls(to, delta, method())
        await way.ask(type_urls.CLUSTER, node=_node(to, stock=stock))
        await way.accept(await way.next(type_urls.CLUSTER))
        return way

    async def ask(self, url: str, *names: str, nonce: str = "", node: base_pb2.Node | None = None) -> None:
        if self.delta:
            request = discovery_pb2.DeltaDiscoveryRequest(type_url=url, response_nonce=nonce)
            request.resource_names_subscribe.extend(names)
        else:
            request = discovery_pb2.DiscoveryRequest(type_url=url, response_nonce=nonce, resource_names=names)
        if node:
            request.node.CopyFrom(node)
        await self.call.write(request)

    async def next(self, url: str) -> Any:
        async with asyncio.timeout(PATIENCE):
            while (response := await self.call.read()).type_url != url:
                pass
            return response

    async def accept(self, response: Any, *names: str) -> None:
        await self.ask(response.type_url, *(() if self.delta else names), nonce=response.nonce)


class Receiver:
    """Keeps its streams: the agent's own Envoy would come back for the newest one's place."""

    def __init__(self, sender: grpc.aio.Channel, agent: grpc.aio.Channel) -> None:
        self._sender = sender
        self._agent = agent
        self._ways: list[Way] = []

    async def control(self, *, method: str, **what: Any) -> Any:
        call = self._sender.unary_unary(f"/{CONTROL}/{method}", bytes, bytes)
        return json.loads(await call(json.dumps(what).encode()))

    async def pushes(self, *, delta: bool, what: str, times: int) -> dict[str, list[float]]:
        """Milliseconds from the beginning of each push until the client has the response as a message.
        What is said first on the streams is said for all pushes.
        """
        if not self._ways:
            stock = what == payloads.WITH_FILTERS
            channels = {DIRECT: self._sender, "agent": self._agent}
            self._ways = [
                await Way.open(channel, to, delta=delta, stock=stock) for to, channel in channels.items()
            ]
        if what == payloads.ONE:  # among ten thousand
            for way in self._ways:
                await self._push(way, payloads.LARGE)
                await asyncio.sleep(PAUSE)
        took: dict[str, list[float]] = {way.to: [] for way in self._ways}
        for number in range(times + WARM):
            for way in self._ways:
                seconds = await self._push(way, what)
                await asyncio.sleep(SHORT_PAUSE if what == payloads.SMALL else PAUSE)
                if number >= WARM:
                    took[way.to].append(seconds * 1000)
        return took

    async def _push(self, way: Way, what: str) -> float:
        async with asyncio.TaskGroup() as both:
            asked = self.control(method="Push", to=way.to, what=what, delta=way.delta)
            told = both.create_task(asked, name="push")
            response = await way.next(type_urls.CLUSTER)
            arrived = time.monotonic()
        began = told.result()["began"]
        await way.accept(response)
        return float(arrived - began)

    async def services(self, *, delta: bool) -> dict[str, int]:
        """Everything a proxy wants of 10 000 services, through the agent. Bytes by type."""
        way = await Way.open(self._agent, "agent", delta=delta)
        self._ways = [way]
        names = [payloads.cluster_name(number) for number in range(payloads.SERVICES)]
        wanted = {type_urls.ENDPOINT: names, type_urls.LISTENER: [], type_urls.ROUTE: [payloads.ROUTE]}
        sizes = {}
        for url, asked in wanted.items():
            await way.ask(url, *asked)
            response = await way.next(url)
            sizes[url] = response.ByteSize()
            await way.accept(response, *asked)
        return sizes


def _node(name: str, *, stock: bool) -> base_pb2.Node:
    """The agent knows by the restart epoch that it comes in the place of the Envoy that it has started."""
    node = base_pb2.Node(id=name)
    if name != DIRECT:
        node.metadata[EPOCH] = "1"
    for type_name in STOCK if stock else ():
        node.extensions.add(name=type_name, type_urls=[type_name])
    return node


async def main(sender: str, root: Path, agent: str) -> None:
    credentials = grpc.ssl_channel_credentials(root.read_bytes())
    name = ("grpc.ssl_target_name_override", "bench")
    async with (
        grpc.aio.secure_channel(f"{sender}:{PORT}", credentials, (*LIMITS, WINDOW, name)) as straight,
        grpc.aio.insecure_channel(f"unix:{agent}", (*LIMITS, WINDOW)) as through,
    ):
        receiver = Receiver(straight, through)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            method = getattr(receiver, asked.pop("do"))
            print(json.dumps(await method(**asked)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
