"""Envoy's own messages (from its published protos, not ours) over a real socket."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.sds.server import SERVICE, SdsServer

HELD = Credential(
    spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
    key_pem=b"key",
    chain_pem=b"chain",
    root_pem=b"root",
    not_before=0.0,
    not_after=1.0,
)
NODE = base_pb2.Node(id="sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local")


class Envoy:
    """One SDS stream, as Envoy opens one for each secret."""

    def __init__(self, channel: grpc.aio.Channel, method: str = "StreamSecrets") -> None:
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._call = channel.stream_stream(f"/{SERVICE}/{method}", bytes, bytes)(self._outgoing())
        self._last = discovery_pb2.DiscoveryResponse()

    async def _outgoing(self) -> AsyncIterator[bytes]:
        while (data := await self._requests.get()) is not None:
            yield data

    def ask(self, *names: str, node: base_pb2.Node | None = NODE) -> None:
        self.say(discovery_pb2.DiscoveryRequest(node=node, resource_names=names).SerializeToString())

    def acknowledge(self, *names: str) -> None:
        self.say(
            discovery_pb2.DiscoveryRequest(
                version_info=self._last.version_info, resource_names=names, response_nonce=self._last.nonce
            ).SerializeToString()
        )

    def say(self, data: bytes) -> None:
        self._requests.put_nowait(data)

    async def hear(self) -> list[secret_pb2.Secret]:
        data = await self._call.read()
        assert isinstance(data, bytes)
        got = discovery_pb2.DiscoveryResponse.FromString(data)
        assert got.nonce != self._last.nonce
        assert got.version_info != self._last.version_info
        self._last = got
        return [secret_pb2.Secret.FromString(one.value) for one in got.resources]

    async def turned_away(self) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError):
            await self._call.read()
        return await self._call.code(), await self._call.details()

    async def leave(self) -> grpc.StatusCode:
        self._requests.put_nowait(None)
        return await self._call.code()

    def vanish(self) -> None:
        self._call.cancel()


@pytest.fixture
def credentials() -> Latest[Credential]:
    return Latest()


@pytest.fixture
async def channel(credentials: Latest[Credential], tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((SdsServer(credentials, clock=SystemClock()).handler(),))
    server.add_insecure_port(f"unix:{tmp_path}/socket")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/socket") as channel:
        yield channel
    await server.stop(None)


async def test_envoy_gets_key_and_root_and_each_change_of_them(
    channel: grpc.aio.Channel, credentials: Latest[Credential], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    default, root = Envoy(channel), Envoy(channel)
    default.ask("default")
    root.ask("ROOTCA")
    credentials.publish(HELD)
    [certificate], [trust] = await default.hear(), await root.hear()
    assert certificate.tls_certificate.private_key.inline_bytes == b"key"
    assert certificate.tls_certificate.certificate_chain.inline_bytes == b"chain"
    assert trust.validation_context.trusted_ca.inline_bytes == b"root"
    default.acknowledge("default")
    root.acknowledge("ROOTCA")

    credentials.publish(replace(HELD, key_pem=b"k2", chain_pem=b"c2"))
    [certificate] = await default.hear()
    assert certificate.tls_certificate.private_key.inline_bytes == b"k2"
    credentials.publish(replace(HELD, key_pem=b"k2", chain_pem=b"c2", root_pem=b"r2"))
    [trust] = await root.hear()
    assert trust.validation_context.trusted_ca.inline_bytes == b"r2"

    pushes = [r.getMessage() for r in caplog.records if r.name == "sds"]
    assert sorted(pushes) == ["SDS: PUSH\tresource=ROOTCA"] * 2 + ["SDS: PUSH\tresource=default"] * 2
    assert await default.leave() is grpc.StatusCode.OK


async def test_a_stream_that_comes_later_is_answered_from_what_there_is(
    channel: grpc.aio.Channel, credentials: Latest[Credential]
) -> None:
    credentials.publish(HELD)
    late = Envoy(channel)
    late.ask("default")
    [secret] = await late.hear()
    assert secret.name == "default"


async def test_an_envoy_that_vanishes_does_not_disturb_the_others(
    channel: grpc.aio.Channel, credentials: Latest[Credential]
) -> None:
    gone, stays = Envoy(channel), Envoy(channel)
    gone.ask("default")
    stays.ask("default")
    gone.vanish()
    credentials.publish(HELD)
    assert [secret.name for secret in await stays.hear()] == ["default"]


async def test_an_unknown_secret_ends_the_stream_with_a_sentence(
    channel: grpc.aio.Channel, credentials: Latest[Credential]
) -> None:
    credentials.publish(HELD)
    curious = Envoy(channel)
    curious.ask("somebody-elses")
    code, why = await curious.turned_away()
    assert code is grpc.StatusCode.NOT_FOUND
    assert "no secret named 'somebody-elses'" in why


async def test_who_does_not_say_its_node_is_refused(channel: grpc.aio.Channel) -> None:
    stranger = Envoy(channel)
    stranger.ask("default", node=None)
    assert await stranger.turned_away() == (grpc.StatusCode.INVALID_ARGUMENT, "missing node information")


async def test_garbage_is_refused(channel: grpc.aio.Channel) -> None:
    stranger = Envoy(channel)
    stranger.say(b"\xff\xff")
    code, _ = await stranger.turned_away()
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", ["DeltaSecrets", "FetchSecrets"])
async def test_the_other_methods_are_not_implemented(channel: grpc.aio.Channel, method: str) -> None:
    other = Envoy(channel, method)
    code, _ = await other.turned_away()
    assert code is grpc.StatusCode.UNIMPLEMENTED
