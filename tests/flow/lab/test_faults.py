"""Misbehaviour on request does what it says, and ends when it is told to."""

import datetime
import time

import grpc
import grpc.aio
import pytest
from cryptography import x509

from lab.controlplane import type_urls
from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import certificate, new_csr, stream
from tests.flow.lab.test_streams import refusal, silence


async def test_refused_tokens_work_again_afterwards(control_plane: ControlPlane) -> None:
    control_plane.faults.refuse_tokens = True
    assert (await refusal(control_plane))[0] is grpc.StatusCode.UNAUTHENTICATED
    control_plane.faults.refuse_tokens = False
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)


async def test_a_control_plane_that_is_not_ready_is_unavailable(control_plane: ControlPlane) -> None:
    control_plane.faults.refuse_streams = True
    assert await refusal(control_plane) == (
        grpc.StatusCode.UNAVAILABLE,
        "server is not ready to serve discovery information",
    )


async def test_held_responses_come_after_their_release(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        control_plane.faults.hold()
        await mine.ask(type_urls.CLUSTER)
        await silence(mine)
    control_plane.faults.release()
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)


async def test_certificates_live_as_long_as_the_fault_says(control_plane: ControlPlane) -> None:
    control_plane.faults.certificate_ttl = 20
    chain = await certificate(
        control_plane, new_csr()[1], token=control_plane.issue_token("istio-demo", "vm"), ttl=24 * 3600
    )
    left = x509.load_pem_x509_certificate(chain[0].encode()).not_valid_after_utc - datetime.datetime.now(
        datetime.UTC
    )
    assert datetime.timedelta(seconds=15) < left <= datetime.timedelta(seconds=20)


async def test_answers_can_be_slow(control_plane: ControlPlane) -> None:
    control_plane.faults.delay = 0.2
    began = time.monotonic()
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
    assert time.monotonic() - began >= 0.2


async def test_dropped_connections_can_be_made_again(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
        control_plane.drop_connections()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mine.answer()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await control_plane.until(lambda lab: not lab.connections)
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
