"""What the control plane builds is taken by a stock Envoy: every cluster and listener, warmed and ready."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.snapshot.packing import pack
from tests.authority import Authority
from tests.flow.lab.envoy_process import Resources, envoy
from tests.unit.lab import story, varied

SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

TCP = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: redis, namespace: istio-demo}
spec:
  hosts: [redis.jd.com]
  location: MESH_INTERNAL
  ports: [{number: 6379, name: tcp, protocol: TCP}, {number: 9000, name: grpc, protocol: GRPC}]
  resolution: STATIC
  workloadSelector: {labels: {app: nginx}}
"""
OUTSIDE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: istio-demo}
spec:
  hosts: [outside.example]
  location: MESH_EXTERNAL
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
  resolution: DNS
  endpoints: [{address: localhost}]
"""
WILDCARD = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wildcard, namespace: istio-demo}
spec: {hosts: ["*.bar.com"], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}
"""

STORIES = {
    "an empty mesh": (),
    "the main story": (story.SERVICE, story.REGISTERED),
    "two backends with weights": (
        story.SERVICE,
        story.REGISTERED,
        story.POD,
        story.routing(vm=40, docker=60),
    ),
    "a service without endpoints": (story.SERVICE,),
    "all protocols and resolutions": (story.SERVICE, story.REGISTERED, TCP, OUTSIDE, WILDCARD),
    "whatever no story has": varied.DOCUMENTS,
}


def resources(snapshot: Snapshot) -> Resources:
    """The snapshot without real sockets, which may be somebody else's here, and with secrets."""
    given = {url: dict(named) for url, named in snapshot.resources.items()}
    for name, packed in snapshot.of(type_urls.LISTENER).items():
        listener = Listener.FromString(packed.value)
        listener.bind_to_port.value = False
        given[type_urls.LISTENER][name] = pack(listener)
    return {**given, SECRET: secrets()}


def secrets() -> dict[str, any_pb2.Any]:
    authority = Authority()
    key, chain = authority.server(
        x509.UniformResourceIdentifier("spiffe://cluster.local/ns/istio-demo/sa/vm")
    )
    pair = {"certificate_chain": {"inline_bytes": chain}, "private_key": {"inline_bytes": key}}
    root = {"trusted_ca": {"inline_bytes": authority.root_pem}}
    made = [
        Secret(name=name, tls_certificate=pair)
        if what == "pair"
        else Secret(name=name, validation_context=root)
        for name, what in {"default": "pair", "ROOTCA": "root", **varied.SECRETS}.items()
    ]
    return {each.name: pack(each) for each in made}


@pytest.mark.parametrize("documents", STORIES.values(), ids=STORIES.keys())
@pytest.mark.parametrize("proxy", [story.CLIENT, story.VM, varied.router()], ids=["client", "vm", "router"])
async def test_a_stock_envoy_takes_everything_it_is_told(
    documents: tuple[str, ...], proxy: Proxy, tmp_path: Path
) -> None:
    snapshot = story.told(proxy, *documents)
    async with envoy(resources(snapshot), node_id=proxy.name, folder=tmp_path) as running:
        assert running.server.rejected == []
        dump = json.loads(await running.ask("/config_dump?include_eds"))
        found = {each["@type"].rpartition(".")[2]: each for each in dump["configs"]}
        clusters = found["ClustersConfigDump"]["dynamic_active_clusters"]
        listeners = found["ListenersConfigDump"].get("dynamic_listeners", [])
        assert {each["cluster"]["name"] for each in clusters} == set(snapshot.of(type_urls.CLUSTER))
        active = {each["name"] for each in listeners if "active_state" in each}
        assert active == set(snapshot.of(type_urls.LISTENER))


async def test_a_filter_only_istios_envoy_has_would_have_been_noticed(tmp_path: Path) -> None:
    given = resources(story.told(story.CLIENT, story.SERVICE, story.REGISTERED))
    listener = Listener.FromString(given[type_urls.LISTENER]["0.0.0.0_80"].value)
    listener.default_filter_chain.filters[0].name = "istio.stats"
    listener.default_filter_chain.filters[0].typed_config.type_url = "type.googleapis.com/stats.PluginConfig"
    given[type_urls.LISTENER]["0.0.0.0_80"] = pack(listener)
    async with envoy(given, node_id="client", folder=tmp_path) as running:
        assert ["istio.stats" in each for each in running.server.rejected] == [True]
