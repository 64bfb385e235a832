"""A proxy as the control plane sees it: gRPC with xds-protos' own stubs, nothing of the agent."""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import json_format
from google.rpc import status_pb2

from lab.controlplane import type_urls
from lab.controlplane._pb import ca_pb2
from lab.controlplane.server import ControlPlane

PATIENCE = 5.0
"""Seconds a test waits for what must come."""

SILENCE = 0.4
"""Seconds in which nothing may come: several times the debounce of the tests."""

NODE: dict[str, Any] = {
    "NAMESPACE": "istio-demo",
    "SERVICE_ACCOUNT": "vm",
    "CLUSTER_ID": "Kubernetes",
    "INSTANCE_IPS": "192.168.0.204",
    "DNS_CAPTURE": "true",
    "AUTO_REGISTER_GROUP": "nginx",
    "LABELS": {"app": "nginx", "class": "vm"},
    "PROXY_CONFIG": {"statusPort": 15020},
}


def node(**metadata: Any) -> base_pb2.Node:
    """The VM of the story; a key set to None is left out."""
    values = {key: value for key, value in {**NODE, **metadata}.items() if value is not None}
    name = "sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local"
    return json_format.ParseDict({"id": name, "metadata": values}, base_pb2.Node())


def channel(control_plane: ControlPlane, *, identity: tuple[bytes, bytes] | None = None) -> grpc.aio.Channel:
    """``identity`` is a client key and chain."""
    key, chain = identity or (None, None)
    credentials = grpc.ssl_channel_credentials(control_plane.root_pem, key, chain)
    options = (
        ("grpc.ssl_target_name_override", "istiod.istio-system.svc"),
        ("grpc.max_receive_message_length", -1),  # as Envoy, which takes any size
    )
    return grpc.aio.secure_channel(str(control_plane.listening), credentials, options=options)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


class Ended(Exception):
    """The server ended the stream without an error; the status says how."""


@dataclass
class Stream:
    """One ADS stream, request by request."""

    call: Any
    first_node: base_pb2.Node | None
    nonces: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    async def ask(self, type_url: str, *names: str, error: str | None = None) -> None:
        """The nonce and the version are those of what came last, as Envoy does."""
        request = discovery_pb2.DiscoveryRequest(
            type_url=type_url,
            resource_names=names,
            response_nonce=self.nonces.get(type_url, ""),
            version_info=self.versions.get(type_url, ""),
            node=self.first_node,
            error_detail=None if error is None else status_pb2.Status(code=13, message=error),
        )
        self.first_node = None
        await self.call.write(request)

    async def answer(self) -> discovery_pb2.DiscoveryResponse:
        """Raises AioRpcError or Ended when the stream ends instead."""
        response = await self.call.read()
        if not isinstance(response, discovery_pb2.DiscoveryResponse):
            raise Ended(await self.call.code())
        self.nonces[response.type_url] = response.nonce
        return response

    async def get(self, type_url: str, *names: str) -> discovery_pb2.DiscoveryResponse:
        """Ask, receive, acknowledge."""
        await self.ask(type_url, *names)
        response = await self.answer()
        assert response.type_url == type_url
        await self.accept(response, *names)
        return response

    async def accept(self, response: discovery_pb2.DiscoveryResponse, *names: str) -> None:
        self.versions[response.type_url] = response.version_info
        await self.ask(response.type_url, *names)

    async def report(self, error: str | None = None) -> None:
        await self.ask(type_urls.HEALTH, error=error)


@dataclass
class DeltaStream:
    """One delta ADS stream, and what its client holds: version by name by type."""

    call: Any
    first_node: base_pb2.Node | None
    held: dict[str, dict[str, str]] = field(default_factory=dict)

    async def ask(
        self,
        type_url: str,
        *subscribe: str,
        drop: tuple[str, ...] = (),
        known: dict[str, str] | None = None,
        nonce: str = "",
        error: str | None = None,
    ) -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=subscribe,
            resource_names_unsubscribe=drop,
            initial_resource_versions=known,
            response_nonce=nonce,
            node=self.first_node,
            error_detail=None if error is None else status_pb2.Status(code=13, message=error),
        )
        self.first_node = None
        await self.call.write(request)

    async def answer(self) -> discovery_pb2.DeltaDiscoveryResponse:
        """Raises AioRpcError or Ended when the stream ends instead."""
        response = await self.call.read()
        if not isinstance(response, discovery_pb2.DeltaDiscoveryResponse):
            raise Ended(await self.call.code())
        return response

    async def accept(self, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        held = self.held.setdefault(response.type_url, {})
        held |= {each.name: each.version for each in response.resources}
        for name in response.removed_resources:
            held.pop(name, None)
        await self.ask(response.type_url, nonce=response.nonce)

    async def get(self, type_url: str, *subscribe: str) -> discovery_pb2.DeltaDiscoveryResponse:
        """Ask, with what an earlier stream left here, receive, acknowledge."""
        await self.ask(type_url, *subscribe, known=self.held.get(type_url))
        return await self.next(type_url)

    async def next(self, type_url: str) -> discovery_pb2.DeltaDiscoveryResponse:
        response = await self.answer()
        assert response.type_url == type_url
        await self.accept(response)
        return response


@contextlib.asynccontextmanager
async def stream(control_plane: ControlPlane, **how: Any) -> AsyncIterator[Stream]:
    """State of the world; ``how`` is ``call``'s."""
    async with call(control_plane, "StreamAggregatedResources", **how) as (opened, its_node):
        yield Stream(call=opened, first_node=its_node)


@contextlib.asynccontextmanager
async def delta_stream(control_plane: ControlPlane, **how: Any) -> AsyncIterator[DeltaStream]:
    async with call(control_plane, "DeltaAggregatedResources", **how) as (opened, its_node):
        yield DeltaStream(call=opened, first_node=its_node)


async def served(control_plane: ControlPlane) -> None:
    """Whoever asks is answered."""
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)


@contextlib.asynccontextmanager
async def call(
    control_plane: ControlPlane,
    method: str,
    *,
    token: str | None = "valid",
    identity: tuple[bytes, bytes] | None = None,
    timeout: float = PATIENCE,
    **metadata: Any,
) -> AsyncIterator[tuple[Any, base_pb2.Node]]:
    """Of the story's VM, with a token of its account unless told otherwise."""
    if token == "valid":
        token = control_plane.issue_token("istio-demo", "vm")
    async with channel(control_plane, identity=identity) as to:
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(to)
        headers = bearer(token) if token is not None else ()
        opened = getattr(stub, method)(metadata=headers, timeout=timeout)
        try:
            yield opened, node(**metadata)
        finally:
            opened.cancel()


def new_csr(
    key: ec.EllipticCurvePrivateKey | None = None, *, san: str = "spiffe://x/ns/y/sa/z", cn: str = ""
) -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(san)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=True)
    return key, csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


async def certificate(
    control_plane: ControlPlane,
    csr: str,
    *,
    token: str | None = None,
    ttl: int = 0,
    identity: tuple[bytes, bytes] | None = None,
    **metadata: str,
) -> list[str]:
    """The chain. Raises AioRpcError."""
    async with channel(control_plane, identity=identity) as to:
        create = to.unary_unary(
            "/istio.v1.auth.IstioCertificateService/CreateCertificate",
            request_serializer=ca_pb2.IstioCertificateRequest.SerializeToString,
            response_deserializer=ca_pb2.IstioCertificateResponse.FromString,
        )
        request = ca_pb2.IstioCertificateRequest(csr=csr, validity_duration=ttl)
        request.metadata.update({"CertSigner": "", **metadata})
        response = await create(request, metadata=bearer(token) if token else (), timeout=PATIENCE)
        return list(response.cert_chain)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def ask_api(
    control_plane: ControlPlane, method: str, path: str, body: Any = None, *, raw: bytes | None = None
) -> tuple[int, Any]:
    """Status and JSON. Blocks: call it in a thread."""
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://{control_plane.api_listening}{path}", data=data, method=method, headers={"Accept": "*/*"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
