"""Objects that a cluster has around a mesh, applied and read back over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import ask_api

Ask = Callable[..., Awaitable[tuple[int, Any]]]

SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "books", "namespace": "shop"},
    "spec": {
        "clusterIP": "10.96.3.4",
        "selector": {"app": "books"},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
    },
}
AUTHENTICATION: dict[str, Any] = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": "shop"},
    "spec": {"mtls": {"mode": "STRICT"}},
}
ENTRY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "ours", "namespace": "shop"},
    "spec": {
        "hosts": ["a.example", "b.example", "*.example"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "DNS",
        "endpoints": [{"address": "behind.example"}],
    },
}


@pytest.fixture
def ask(control_plane: ControlPlane) -> Ask:
    async def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return await asyncio.to_thread(ask_api, control_plane, method, path, body)

    return call


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/api/v1/namespaces/shop/services", SERVICE),
        ("/apis/security.istio.io/v1/namespaces/shop/peerauthentications", AUTHENTICATION),
    ],
    ids=["Service", "PeerAuthentication"],
)
async def test_an_object_of_another_group_is_made_listed_and_taken_away(
    ask: Ask, path: str, document: dict[str, Any]
) -> None:
    name = document["metadata"]["name"]
    assert (await ask("POST", path, document))[0] == 201
    status, listed = await ask("GET", path)
    assert status == 200
    assert [each["spec"] for each in listed["items"]] == [document["spec"]]
    assert (await ask("DELETE", f"{path}/{name}"))[0] == 200
    assert (await ask("GET", f"{path}/{name}"))[0] == 404


async def test_a_service_that_an_api_server_would_refuse_is_refused_and_changes_nothing(ask: Ask) -> None:
    path = "/api/v1/namespaces/shop/services"
    wrong = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"port": 0}]}}
    status, answer = await ask("POST", path, wrong)
    assert status == 422
    assert "spec.ports[0].port is 0" in answer["message"]
    assert (await ask("GET", path))[1]["items"] == []


async def test_a_service_entry_shows_the_addresses_it_was_given_and_keeps_them(ask: Ask) -> None:
    """Another control plane that is given what this one shows hands out the same."""
    path = "/apis/networking.istio.io/v1/namespaces/shop/serviceentries"
    await ask("POST", path, ENTRY)
    _, shown = await ask("GET", f"{path}/ours")
    addresses = shown["status"]["addresses"]
    assert [each["host"] for each in addresses] == ["a.example", "a.example", "b.example", "b.example"]
    assert [":" in each["value"] for each in addresses] == [False, True, False, True]
    earlier = {**ENTRY, "metadata": {"name": "before", "namespace": "default"}}
    await ask("POST", "/apis/networking.istio.io/v1/namespaces/default/serviceentries", earlier)
    _, again = await ask("GET", f"{path}/ours")
    assert again["status"]["addresses"] == addresses
