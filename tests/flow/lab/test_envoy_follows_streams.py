"""A stock Envoy on the control plane's own stream, TLS and token included: it takes every push and warms
nothing for ever."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from lab.controlplane import type_urls
from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import NODE
from tests.flow.lab.envoy_process import ENVOY, PATIENCE, Server
from tests.flow.lab.test_envoy_accepts_snapshot import SECRET, secrets
from tests.flow.lab.test_streams import SECOND_SERVICE

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: nginx, namespace: istio-demo}
spec: {host: nginx.jd.com, subsets: [{name: vm, labels: {class: vm}}]}
"""
"""Changes the service's own cluster too, which Envoy then warms anew."""
ADS_TYPES = {type_urls.CLUSTER, type_urls.ENDPOINT, type_urls.LISTENER, type_urls.ROUTE}


def cluster(name: str, address: dict[str, Any], **more: Any) -> dict[str, Any]:
    http2 = {"@type": f"type.googleapis.com/{HTTP}", "explicit_http_config": {"http2_protocol_options": {}}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "typed_extension_protocol_options": {HTTP: http2},
        **more,
    }


def bootstrap(control_plane: ControlPlane, folder: Path, api_type: str) -> dict[str, Any]:
    at = control_plane.listening
    root = {"trusted_ca": {"inline_string": control_plane.root_pem.decode()}}
    context = {"validation_context": root, "alpn_protocols": ["h2"]}
    tls = {"@type": TLS, "sni": "istiod.istio-system.svc", "common_tls_context": context}
    source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    token = control_plane.issue_token("istio-demo", "vm")
    socket = {"socket_address": {"address": at.host, "port_value": at.port}}
    return {
        "node": {
            "id": "sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local",
            "cluster": "test",
            "metadata": NODE,
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "clusters": [
                cluster("xds", socket, transport_socket={"name": "tls", "typed_config": tls}),
                cluster("sds-grpc", {"pipe": {"path": f"{folder}/sds.sock"}}),
            ]
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": api_type,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {"cluster_name": "xds"},
                        "initial_metadata": [{"key": "authorization", "value": f"Bearer {token}"}],
                    }
                ],
            },
            "cds_config": source,
            "lds_config": source,
        },
    }


@contextlib.asynccontextmanager
async def envoy_on(control_plane: ControlPlane, folder: Path, api_type: str = "GRPC") -> AsyncIterator[Path]:
    """The file that holds its admin address. ``api_type`` chooses the variant: GRPC or DELTA_GRPC."""
    wire = grpc.aio.server()
    wire.add_generic_rpc_handlers(Server({SECRET: secrets()}).handlers())
    wire.add_insecure_port(f"unix:{folder}/sds.sock")
    await wire.start()
    config = folder / "bootstrap.json"
    config.touch(0o600)
    config.write_text(json.dumps(bootstrap(control_plane, folder, api_type)))
    with (folder / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(ENVOY), "-c", str(config), "--disable-hot-restart", "--concurrency", "1"),
            *("--admin-address-path", str(folder / "admin"), "--log-level", "info"),
            stderr=log,
        )
    try:
        yield folder / "admin"
    finally:
        process.kill()
        await process.wait()
        await wire.stop(None)


def versions(control_plane: ControlPlane) -> dict[str, str]:
    return dict(control_plane.connections[0].accepted) if control_plane.connections else {}


async def active(admin: Path) -> tuple[set[str], set[str]]:
    """Names of clusters and of listeners in use; empty while anything still warms."""

    def ask() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{admin.read_text()}/config_dump", timeout=PATIENCE) as answer:
            return {each["@type"].rpartition(".")[2]: each for each in json.load(answer)["configs"]}

    found = await asyncio.to_thread(ask)
    clusters = found["ClustersConfigDump"].get("dynamic_active_clusters", [])
    listeners = found["ListenersConfigDump"].get("dynamic_listeners", [])
    warms = "dynamic_warming_clusters" in found["ClustersConfigDump"]
    if warms or any("warming_state" in each for each in listeners):
        return set(), set()
    return (
        {each["cluster"]["name"] for each in clusters},
        {each["name"] for each in listeners if "active_state" in each},
    )


@pytest.mark.usefixtures("without_real_sockets")
@pytest.mark.parametrize("api_type", ["GRPC", "DELTA_GRPC"])
async def test_envoy_takes_the_first_configuration_and_every_change_of_it(
    control_plane: ControlPlane, tmp_path: Path, api_type: str
) -> None:
    def served(lab: ControlPlane) -> tuple[set[str], set[str]]:
        snapshot = lab.snapshot(lab.connections[0].proxy)
        return set(snapshot.of(type_urls.CLUSTER)), set(snapshot.of(type_urls.LISTENER))

    async def settled() -> None:
        async with asyncio.timeout(PATIENCE):
            while await active(tmp_path / "admin") != served(control_plane):  # noqa: ASYNC110  # a process
                await asyncio.sleep(0.1)

    async with envoy_on(control_plane, tmp_path, api_type) as admin:
        await control_plane.until(lambda lab: versions(lab).keys() >= ADS_TYPES, timeout=PATIENCE)
        await settled()

        before = versions(control_plane)
        control_plane.apply(SECOND_SERVICE)
        await control_plane.until(
            lambda lab: all(versions(lab)[url] != before[url] for url in ADS_TYPES), timeout=PATIENCE
        )
        await settled()

        control_plane.delete("ServiceEntry", "istio-demo", "second")
        await control_plane.until(lambda lab: versions(lab) == before, timeout=PATIENCE)
        await settled()

        control_plane.apply(RULE)
        await control_plane.until(
            lambda lab: versions(lab)[type_urls.CLUSTER] != before[type_urls.CLUSTER], timeout=PATIENCE
        )
        await settled()

        dropped = control_plane.connections[0].id
        control_plane.drop_connections()
        await control_plane.until(lambda lab: dropped not in lab.ads.connections, timeout=PATIENCE)
        await control_plane.until(lambda lab: versions(lab).keys() >= ADS_TYPES, timeout=PATIENCE)
        assert admin.exists()
        assert not control_plane.connections[0].rejected
