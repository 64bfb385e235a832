"""A span leaves for lightstep with an access token that /config_dump does not show."""

import asyncio
import json
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc

from tests.flow.envoy.parts import control_plane, real, supervised, until
from tests.ports import free_ports
from vmagent.envoy.states import State

TRACED = """
static_resources:
  listeners:
  - name: traced
    address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3\
.HttpConnectionManager
          stat_prefix: traced
          tracing: {}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - {name: any, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}
"""


async def test_a_span_reaches_lightstep_with_the_token(tmp_path: Path) -> None:
    tokens: asyncio.Queue[str] = asyncio.Queue()

    async def export(_: bytes, context: Any) -> bytes:
        metadata: Iterable[tuple[str, str]] = context.invocation_metadata()
        tokens.put_nowait(dict(metadata)["lightstep-access-token"])
        return b""

    collector = grpc.aio.server()
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    collector.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    collector_port = collector.add_insecure_port("127.0.0.1:0")
    await collector.start()
    try:
        await span_arrives(tmp_path, collector_port, tokens)
    finally:
        await collector.stop(0)


async def span_arrives(tmp_path: Path, collector_port: int, tokens: asyncio.Queue[str]) -> None:
    (port,) = free_ports(1)
    override = tmp_path / "override.yaml"
    override.write_text(TRACED % port)
    proxy = {
        "tracing": {"lightstep": {"address": f"127.0.0.1:{collector_port}", "accessToken": "hunter2"}},
        "runtimeValues": {"tracing.opentelemetry.min_flush_spans": "1"},
    }
    config = real(tmp_path, proxy_config=proxy, bootstrap_override=override)
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        await until(supervisor, State.READY)
        await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/")
        async with asyncio.timeout(10):
            assert await tokens.get() == "hunter2"
        shown = await asyncio.to_thread(fetch, f"http://127.0.0.1:{config.ports.admin}/config_dump")
        assert "hunter2" not in json.dumps(json.loads(shown))


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
        return body
