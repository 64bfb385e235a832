"""The Kubernetes-shaped API over HTTP, as ``vmagent entry configure``, the lab's own kubectl and people use
it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import yaml
from cryptography import x509

from lab.controlplane import type_urls
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import ask_api, certificate, new_csr, stream

Ask = Callable[..., Awaitable[tuple[int, Any]]]

NETWORKING = "/apis/networking.istio.io"
ENTRIES = f"{NETWORKING}/v1/namespaces/istio-demo/serviceentries"
CORE = "/api/v1/namespaces"

SECOND: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "second", "namespace": "istio-demo"},
    "spec": {
        "hosts": ["second.jd.com"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "DNS",
    },
}


@pytest.fixture
def ask(control_plane: ControlPlane) -> Ask:
    async def call(method: str, path: str, body: Any = None, raw: bytes | None = None) -> tuple[int, Any]:
        return await asyncio.to_thread(ask_api, control_plane, method, path, body, raw=raw)

    return call


async def test_the_mesh_configuration_captures_dns(ask: Ask) -> None:
    status, found = await ask("GET", f"{CORE}/istio-system/configmaps/istio")
    assert status == 200
    mesh = yaml.safe_load(found["data"]["mesh"])
    assert mesh["trustDomain"] == "cluster.local"
    assert mesh["defaultConfig"] == {
        "discoveryAddress": "istiod.istio-system.svc:15012",
        "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true", "ISTIO_META_DNS_AUTO_ALLOCATE": "true"},
    }


async def test_an_applied_mesh_configuration_takes_the_place_of_the_built_in_one(
    ask: Ask, control_plane: ControlPlane
) -> None:
    path = f"{CORE}/istio-system/configmaps/istio"
    _, found = await ask("GET", path)
    found["data"]["mesh"] = "trustDomain: mesh.test\n"
    assert (await ask("PUT", path, found))[0] == 200
    assert (await ask("GET", path))[1]["data"] == found["data"]
    leaf = await certificate(control_plane, new_csr()[1], token=control_plane.issue_token("istio-demo", "vm"))
    names = x509.load_pem_x509_certificate(leaf[0].encode()).extensions
    identity = names.get_extension_for_class(x509.SubjectAlternativeName).value[0].value
    assert identity == "spiffe://mesh.test/ns/istio-demo/sa/vm"
    assert (await ask("DELETE", path))[0] == 200
    assert "cluster.local" in (await ask("GET", path))[1]["data"]["mesh"]


async def test_every_namespace_has_the_root_certificate(ask: Ask, control_plane: ControlPlane) -> None:
    for namespace in ("istio-demo", "default"):
        _, found = await ask("GET", f"{CORE}/{namespace}/configmaps/istio-ca-root-cert")
        assert found["data"] == {"root-cert.pem": control_plane.root_pem.decode()}
    assert (await ask("GET", f"{CORE}/nowhere/configmaps/istio-ca-root-cert"))[0] == 404


async def test_the_cluster_id_stands_where_istioctl_looks_for_it(ask: Ask) -> None:
    _, found = await ask("GET", f"{CORE}/istio-system/configmaps/istio-sidecar-injector")
    assert yaml.safe_load(found["data"]["values"])["global"]["multiCluster"]["clusterName"] == "Kubernetes"


async def test_a_requested_token_gets_a_certificate(ask: Ask, control_plane: ControlPlane) -> None:
    spec = {"audiences": ["istio-ca"], "expirationSeconds": 3600}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    status, found = await ask("POST", f"{CORE}/istio-demo/serviceaccounts/vm/token", request)
    assert status == 201
    assert found["kind"] == "TokenRequest"
    assert found["spec"] == spec
    assert found["status"]["expirationTimestamp"].endswith("Z")
    assert await certificate(control_plane, new_csr()[1], token=found["status"]["token"])


async def test_a_token_without_an_audience_is_not_for_the_certificate_authority(
    ask: Ask, control_plane: ControlPlane
) -> None:
    _, found = await ask("POST", f"{CORE}/istio-demo/serviceaccounts/vm/token", {"spec": {}})
    assert found["spec"] == {"audiences": [control_plane.settings.issuer], "expirationSeconds": 3600}


@pytest.mark.parametrize(
    ("path", "spec", "status", "message"),
    [
        ("istio-demo/serviceaccounts/nobody", {}, 404, 'serviceaccounts "nobody" not found'),
        ("nowhere/serviceaccounts/vm", {}, 404, 'namespaces "nowhere" not found'),
        (
            "istio-demo/serviceaccounts/vm",
            {"expirationSeconds": 599},
            422,
            "spec.expirationSeconds: write a number from 600 to 4294967296",
        ),
        (
            "istio-demo/serviceaccounts/vm",
            {"audiences": "istio-ca"},
            422,
            "spec.audiences: write a list of strings",
        ),
    ],
)
async def test_a_token_that_cannot_be_had_is_refused_as_kubernetes_does(
    ask: Ask, path: str, spec: dict[str, Any], status: int, message: str
) -> None:
    got, found = await ask("POST", f"{CORE}/{path}/token", {"spec": spec})
    assert (got, found["message"], found["kind"], found["code"]) == (status, message, "Status", status)


async def test_an_object_lives_from_post_to_delete(ask: Ask, control_plane: ControlPlane) -> None:
    status, made = await ask("POST", ENTRIES, SECOND)
    assert status == 201
    assert made["metadata"]["uid"]
    assert control_plane.world.get(ServiceEntry, "istio-demo", "second") is not None
    assert (control_plane.settings.resources / "serviceentry.istio-demo.second.yaml").exists()
    assert (await ask("POST", ENTRIES, SECOND))[1]["reason"] == "AlreadyExists"

    made["spec"]["resolution"] = "STATIC"
    status, changed = await ask("PUT", f"{ENTRIES}/second", made)
    assert (status, changed["spec"]["resolution"]) == (200, "STATIC")
    assert changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    assert (await ask("PUT", f"{ENTRIES}/second", made))[1]["reason"] == "Conflict"

    assert (await ask("DELETE", f"{ENTRIES}/second"))[1]["status"] == "Success"
    status, gone = await ask("GET", f"{ENTRIES}/second")
    assert (status, gone["reason"], gone["code"]) == (404, "NotFound", 404)
    assert gone["message"] == 'serviceentries.networking.istio.io "second" not found'
    assert not (control_plane.settings.resources / "serviceentry.istio-demo.second.yaml").exists()


async def test_lists_are_of_a_namespace_or_of_all(ask: Ask) -> None:
    other = {**SECOND, "metadata": {"name": "second", "namespace": "elsewhere"}}
    await ask("POST", ENTRIES.replace("istio-demo", "elsewhere"), other)
    _, here = await ask("GET", ENTRIES)
    _, everywhere = await ask("GET", f"{NETWORKING}/v1/serviceentries")
    assert here["kind"] == "ServiceEntryList"
    assert [each["metadata"]["namespace"] for each in here["items"]] == ["istio-demo"]
    assert len(everywhere["items"]) == 2


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
async def test_every_version_shows_the_same_object_under_its_own_name(ask: Ask, version: str) -> None:
    path = f"{NETWORKING}/{version}/namespaces/istio-demo/workloadgroups/nginx"
    _, found = await ask("GET", path)
    assert found["apiVersion"] == f"networking.istio.io/{version}"
    assert found["spec"]["template"]["serviceAccount"] == "vm"


async def test_editing_one_document_of_a_file_leaves_its_neighbour_alone(
    ask: Ask, control_plane: ControlPlane
) -> None:
    _, group = await ask("GET", f"{NETWORKING}/v1/namespaces/istio-demo/workloadgroups/nginx")
    group["spec"]["template"]["serviceAccount"] = "other"
    assert (await ask("PUT", f"{NETWORKING}/v1/namespaces/istio-demo/workloadgroups/nginx", group))[0] == 200
    text = (control_plane.settings.resources / "story.yaml").read_text()
    assert "serviceAccount: other" in text
    assert "ports: [{name: http, number: 80, protocol: HTTP}]" in text, "flow style survived"


async def test_namespaces_and_accounts_can_be_created_as_in_the_documents(
    ask: Ask, control_plane: ControlPlane
) -> None:
    assert (await ask("GET", f"{CORE}/shop"))[0] == 404
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    assert (await ask("POST", CORE, namespace))[0] == 201
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "till"}}
    assert (await ask("POST", f"{CORE}/shop/serviceaccounts", account))[0] == 201
    assert (await ask("POST", f"{CORE}/shop/serviceaccounts/till/token", {}))[0] == 201
    _, namespaces = await ask("GET", CORE)
    assert "shop" in [each["metadata"]["name"] for each in namespaces["items"]]
    assert await certificate(control_plane, new_csr()[1], token=control_plane.issue_token("shop", "till"))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"spec": {"hosts": []}}, 422),
        ({"kind": "WorkloadEntry"}, 400),
        ({"apiVersion": "networking.istio.io/v2"}, 400),
        ({"metadata": {"name": "x", "namespace": "other"}}, 400),
        ({"metadata": {}}, 422),
    ],
)
async def test_a_wrong_object_is_refused_and_nothing_changes(
    ask: Ask, control_plane: ControlPlane, change: dict[str, Any], status: int
) -> None:
    before = control_plane.world
    got, found = await ask("POST", ENTRIES, {**SECOND, **change})
    assert (got, found["kind"]) == (status, "Status")
    assert control_plane.world == before


async def test_what_is_not_served_is_not_found_or_not_allowed(ask: Ask) -> None:
    assert (await ask("GET", "/apis/apps/v1/namespaces/x/daemonsets"))[0] == 404
    assert (await ask("GET", "/"))[0] == 404
    assert (await ask("DELETE", ENTRIES))[0] == 405
    assert (await ask("POST", ENTRIES, raw=b"{"))[0] == 400
    assert (await ask("POST", ENTRIES, raw=b"[]"))[0] == 400


async def test_rubbish_and_silence_do_not_hurt(control_plane: ControlPlane, ask: Ask) -> None:
    at = (control_plane.api_listening.host, control_plane.api_listening.port)
    silent = socket.create_connection(at)

    def talk(text: bytes) -> bytes:
        with socket.create_connection(at, timeout=5) as client:
            client.sendall(text)
            return client.recv(1024)

    assert b" 400 " in await asyncio.to_thread(talk, b"\x16\x03\x01 rubbish\r\n\r\n")
    assert b" 431 " in await asyncio.to_thread(talk, b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n")
    huge = b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"
    assert b" 413 " in await asyncio.to_thread(talk, huge)
    assert (await ask("GET", "/healthz"))[0] == 200
    silent.close()


async def test_syncz_tells_who_is_connected_and_what_they_took(ask: Ask, control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        clusters = await mine.get(type_urls.CLUSTER)
        await mine.get(type_urls.ENDPOINT, "outbound|80||nginx.jd.com")
        await mine.ask(type_urls.LISTENER)
        await mine.answer()
        await mine.ask(type_urls.LISTENER, error="no such filter")
        await control_plane.until(lambda lab: lab.connections[0].rejected)
        _, (found,) = await ask("GET", "/debug/syncz")

    assert found["proxy"] == "vm204.istio-demo"
    assert found["identity"] == "spiffe://cluster.local/ns/istio-demo/sa/vm"
    assert found["authenticatedBy"] == "token"
    assert found["workloadEntry"] == "istio-demo/nginx-192.168.0.204"
    assert found["types"][type_urls.CLUSTER]["accepted"] == clusters.version_info
    assert found["types"][type_urls.ENDPOINT]["names"] == ["outbound|80||nginx.jd.com"]
    assert found["types"][type_urls.LISTENER]["reason"] == "no such filter"
