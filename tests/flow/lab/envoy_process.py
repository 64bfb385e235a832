"""A real Envoy that takes its configuration from a snapshot over a real ADS stream, and its verdict.

Does not:  know the lab's own server: this one answers every request once, and listens to the verdicts.
"""

import asyncio
import contextlib
import json
import sys
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from lab.controlplane import type_urls

ENVOY: Final = (
    Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages/envoy/_bin/envoy"
)
STARTED: Final = "starting workers"
"""Envoy's log line once every cluster and listener it was told about is ready."""
PATIENCE: Final = 30.0
"""Seconds for Envoy to start on a busy machine."""

Resources = dict[str, dict[str, any_pb2.Any]]


@dataclass
class Server:
    """Answers ADS and SDS from fixed resources; a type that is asked for by name gets only those names."""

    resources: Resources
    rejected: list[str] = field(default_factory=list)
    listeners_judged: asyncio.Event = field(default_factory=asyncio.Event)
    """Envoy answered to the listeners, the last of what it is told that is not asked for by one of them."""

    async def serve(self, requests: AsyncIterator[Any], _: object) -> AsyncIterator[Any]:
        asked: dict[str, list[str]] = {}
        async for request in requests:
            url, names = request.type_url, list(request.resource_names)
            if request.HasField("error_detail"):
                self.rejected.append(f"{url}: {request.error_detail.message}")
            if request.response_nonce and url == type_urls.LISTENER:
                self.listeners_judged.set()
            if asked.get(url) == names:
                continue
            asked[url] = names
            known = self.resources.get(url, {})
            chosen = known.values() if url in type_urls.WILDCARD else [known[each] for each in names]
            yield discovery_pb2.DiscoveryResponse(
                type_url=url, version_info="1", nonce=f"{url}-{len(names)}", resources=chosen
            )

    def handlers(self) -> "list[grpc.GenericRpcHandler[Any, Any]]":
        handler = grpc.stream_stream_rpc_method_handler(
            self.serve,
            request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
        )
        methods = {
            "envoy.service.discovery.v3.AggregatedDiscoveryService": "StreamAggregatedResources",
            "envoy.service.secret.v3.SecretDiscoveryService": "StreamSecrets",
        }
        return [
            grpc.method_handlers_generic_handler(service, {name: handler})
            for service, name in methods.items()
        ]


@dataclass(frozen=True, kw_only=True)
class Running:
    server: Server
    admin: str

    async def ask(self, path: str) -> str:
        def get() -> str:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=PATIENCE) as answer:
                return str(answer.read().decode())

        return await asyncio.to_thread(get)


@contextlib.asynccontextmanager
async def envoy(resources: Resources, node_id: str, folder: Path) -> AsyncIterator[Running]:
    """Envoy with these resources, once its workers run. Fails with Envoy's own log when they do not."""
    server = Server(resources)
    wire = grpc.aio.server()
    wire.add_generic_rpc_handlers(server.handlers())
    wire.add_insecure_port(f"unix:{folder}/xds.sock")
    await wire.start()
    config = folder / "bootstrap.json"
    config.write_text(json.dumps(_bootstrap(folder, node_id)))
    process = await asyncio.create_subprocess_exec(
        *(str(ENVOY), "-c", str(config), "--disable-hot-restart", "--concurrency", "1"),
        *("--admin-address-path", str(folder / "admin"), "--log-level", "info"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await _started(process, server)
        yield Running(server=server, admin=(folder / "admin").read_text())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        await wire.stop(None)


async def _started(process: asyncio.subprocess.Process, server: Server) -> None:
    assert process.stderr is not None
    log: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE):
            async for line in process.stderr:
                log.append(line.decode(errors="replace"))
                if STARTED in log[-1]:
                    await server.listeners_judged.wait()
                    return
    except TimeoutError:
        pass
    raise AssertionError(f"Envoy did not start; it rejected {server.rejected}\n{''.join(log[-40:])}")


def _bootstrap(folder: Path, node_id: str) -> dict[str, object]:
    def cluster(name: str) -> dict[str, object]:
        endpoint = {"endpoint": {"address": {"pipe": {"path": f"{folder}/xds.sock"}}}}
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        return {
            "name": name,
            "type": "STATIC",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
            "typed_extension_protocol_options": {
                options: {
                    "@type": f"type.googleapis.com/{options}",
                    "explicit_http_config": {"http2_protocol_options": {}},
                }
            },
        }

    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": {"id": node_id, "cluster": "test"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {"clusters": [cluster("xds-grpc"), cluster("sds-grpc")]},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
            "cds_config": source,
            "lds_config": source,
        },
    }
