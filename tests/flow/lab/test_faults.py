"""Misbehaviour on request does what it says, and ends when it is told to."""

import asyncio
import datetime
import socket
import ssl
import time
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from lab.controlplane import type_urls
from lab.controlplane.ads import SERVICE
from lab.controlplane.server import ControlPlane
from lab.controlplane.spoil import NO_CLUSTER, PADDING
from lab.controlplane.wire import SOTW
from tests.flow.lab.client import (
    PATIENCE,
    SILENCE,
    Ended,
    bearer,
    certificate,
    channel,
    delta_stream,
    new_csr,
    node,
    served,
    stream,
)
from tests.flow.lab.test_streams import refusal, silence


def tls(control_plane: ControlPlane) -> ssl.SSLSocket:
    """A connection with the handshake done, and nothing said yet."""
    context = ssl.create_default_context(cadata=control_plane.root_pem.decode())
    context.set_alpn_protocols(["h2"])
    at = control_plane.listening
    plain = socket.create_connection((at.host, at.port), timeout=PATIENCE)
    return context.wrap_socket(plain, server_hostname="istiod.istio-system.svc")


async def test_refused_tokens_work_again_afterwards(control_plane: ControlPlane) -> None:
    control_plane.faults.refuse_tokens = True
    assert (await refusal(control_plane))[0] is grpc.StatusCode.UNAUTHENTICATED
    control_plane.faults.refuse_tokens = False
    await served(control_plane)


async def test_a_control_plane_that_is_not_ready_is_unavailable(control_plane: ControlPlane) -> None:
    control_plane.faults.refuse_streams = True
    assert await refusal(control_plane) == (
        grpc.StatusCode.UNAVAILABLE,
        "server is not ready to serve discovery information",
    )


async def test_held_responses_come_after_their_release(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        control_plane.faults.hold = True
        await mine.ask(type_urls.CLUSTER)
        await silence(mine)
    async with stream(control_plane) as mine:
        await mine.ask(type_urls.CLUSTER)
        control_plane.faults.hold = False
        await mine.answer()


async def test_certificates_live_as_long_as_the_fault_says(control_plane: ControlPlane) -> None:
    control_plane.faults.certificate_ttl = 20
    left = await lifetime_left(control_plane)
    assert datetime.timedelta(seconds=15) < left <= datetime.timedelta(seconds=20)


async def test_certificates_can_be_issued_expired(control_plane: ControlPlane) -> None:
    control_plane.faults.expired_certificates = True
    assert await lifetime_left(control_plane) < datetime.timedelta(minutes=-59)


async def lifetime_left(control_plane: ControlPlane) -> datetime.timedelta:
    chain = await certificate(
        control_plane, new_csr()[1], token=control_plane.issue_token("istio-demo", "vm"), ttl=24 * 3600
    )
    leaf = x509.load_pem_x509_certificate(chain[0].encode())
    return leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)


async def test_our_own_certificate_can_be_expired(control_plane: ControlPlane) -> None:
    await control_plane.misbehave(expired_server=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        await asyncio.to_thread(tls, control_plane)
    await control_plane.misbehave(expired_server=False)
    await served(control_plane)


async def test_answers_can_be_slow(control_plane: ControlPlane) -> None:
    control_plane.faults.delay = 0.2
    began = time.monotonic()
    await served(control_plane)
    assert time.monotonic() - began >= 0.2


async def test_the_line_can_be_slow(control_plane: ControlPlane) -> None:
    await control_plane.misbehave(rate=100_000, padding=50_000)
    began = time.monotonic()
    await served(control_plane)
    assert time.monotonic() - began >= 0.4


async def test_dropped_connections_can_be_made_again(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
        control_plane.drop_connections()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mine.answer()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await control_plane.until(lambda lab: not lab.connections)
    await served(control_plane)


async def test_a_control_plane_that_is_away_refuses_connections_and_comes_back_on_its_port(
    control_plane: ControlPlane,
) -> None:
    at = control_plane.listening
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
        await control_plane.misbehave(away=True)
        with pytest.raises(grpc.aio.AioRpcError):
            await mine.answer()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(socket.create_connection, (at.host, at.port), PATIENCE)
    await control_plane.misbehave(away=False)
    assert control_plane.listening == at
    await served(control_plane)


async def test_a_half_open_connection_is_established_and_silent_and_goes_on_afterwards(
    control_plane: ControlPlane,
) -> None:
    at = control_plane.listening
    async with stream(control_plane) as mine, asyncio.TaskGroup() as group:
        await mine.get(type_urls.CLUSTER)
        await control_plane.misbehave(half_open=True)
        await mine.ask(type_urls.LISTENER)
        answer = group.create_task(mine.answer())
        done, _ = await asyncio.wait([answer], timeout=SILENCE)
        assert not done
        with socket.create_connection((at.host, at.port), timeout=PATIENCE) as late:
            late.settimeout(SILENCE)
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(late.recv, 1)
        await control_plane.misbehave(half_open=False)
        assert (await answer).type_url == type_urls.LISTENER
    await served(control_plane)


@pytest.mark.parametrize("opening", [stream, delta_stream], ids=["sotw", "delta"])
async def test_a_stream_is_closed_when_it_is_old_enough(control_plane: ControlPlane, opening: Any) -> None:
    async with opening(control_plane) as mine:
        await mine.ask(type_urls.CLUSTER)
        await mine.answer()
        control_plane.faults.stream_age = 0.2
        with pytest.raises(Ended, match="OK"):
            await mine.answer()


async def test_responses_can_be_no_protobuf(control_plane: ControlPlane) -> None:
    control_plane.faults.garbage = "message"
    async with channel(control_plane) as to:
        method: Any = to.stream_stream(
            f"/{SERVICE}/{SOTW.method}",
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=bytes,
        )
        token = control_plane.issue_token("istio-demo", "vm")
        call = method(metadata=bearer(token), timeout=PATIENCE)
        await call.write(discovery_pb2.DiscoveryRequest(node=node(), type_url=type_urls.CLUSTER))
        with pytest.raises(DecodeError):
            discovery_pb2.DiscoveryResponse.FromString(await call.read())
        call.cancel()


async def test_what_is_inside_of_tls_can_be_garbage(control_plane: ControlPlane) -> None:
    await control_plane.misbehave(garbage="bytes")

    def first_bytes() -> bytes:
        with tls(control_plane) as wrapped:
            return wrapped.recv(64)

    assert b"no frame of HTTP/2" in await asyncio.to_thread(first_bytes)
    with pytest.raises(grpc.aio.AioRpcError, match="Failed parsing HTTP/2"):
        await served(control_plane)
    await control_plane.misbehave(garbage="")
    await served(control_plane)


async def test_one_cluster_can_be_garbage_and_the_others_come_with_it(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
        await control_plane.misbehave(garbage="resource")
        (added,) = (await mine.next(type_urls.CLUSTER)).resources
        assert added.name == NO_CLUSTER
        with pytest.raises(DecodeError):
            Cluster.FromString(added.resource.value)
        await control_plane.misbehave(garbage="")
        assert list((await mine.next(type_urls.CLUSTER)).removed_resources) == [NO_CLUSTER]


async def test_a_push_can_be_very_large(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane) as mine:
        before = await mine.get(type_urls.CLUSTER)
        await control_plane.misbehave(padding=3_000_000)
        pushed = await mine.next(type_urls.CLUSTER)
        assert all(each.name.startswith(PADDING) for each in pushed.resources)
        assert 3_000_000 < pushed.ByteSize() < 3_200_000
        assert before.ByteSize() < 100_000
