"""Misbehaviour is listed, asked for and ended from outside."""

import asyncio
import socket
from typing import Any

import grpc
import grpc.aio
import pytest

from lab.controlplane import type_urls
from lab.controlplane.faults import TABLE
from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import PATIENCE, ask_api, served, stream


async def ask(control_plane: ControlPlane, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
    return await asyncio.to_thread(ask_api, control_plane, method, f"/debug/faults{path}", body)


async def test_faults_are_listed_switched_and_cleared_over_the_api(control_plane: ControlPlane) -> None:
    status, listed = await ask(control_plane, "GET")
    assert status == 200
    assert listed.keys() == TABLE.keys()
    assert not any(each["on"] for each in listed.values())
    assert all(each["help"] for each in listed.values())

    status, listed = await ask(control_plane, "PUT", body={"delay": "300ms", "padding": "2k", "away": "on"})
    assert (status, listed["delay"]["value"], listed["padding"]["on"]) == (200, 0.3, True)
    assert (control_plane.faults.delay, control_plane.faults.padding) == (0.3, 2048)
    await control_plane.until(lambda lab: not reachable(lab))
    await ask(control_plane, "DELETE")
    await control_plane.until(reachable)
    await served(control_plane)


def reachable(control_plane: ControlPlane) -> bool:
    """The kernel answers, so that this may be asked from inside the event loop."""
    at = control_plane.listening
    try:
        socket.create_connection((at.host, at.port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_connections_are_dropped_over_the_api(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
        assert (await ask(control_plane, "POST", "/drop"))[0] == 200
        with pytest.raises(grpc.aio.AioRpcError):
            await mine.answer()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"dealy": "1s"}, "there is no fault 'dealy': away, half-open"),
        ({"delay": "soon"}, "delay: 'soon'"),
        ({"away": "yes"}, "away: 'yes' is neither on nor off"),
        ({"padding": "1T"}, "padding: '1T' is not a number of bytes"),
        ({"garbage": "all"}, "garbage: 'all' is none of off, message, resource, bytes"),
        ({"away": True}, "both strings"),
    ],
)
async def test_what_is_no_fault_changes_nothing_and_is_told(
    control_plane: ControlPlane, body: dict[str, Any], said: str
) -> None:
    status, answer = await ask(control_plane, "PUT", body={"refuse-tokens": "on", **body})
    assert status == 422
    assert said in answer["message"]
    assert not control_plane.faults.refuse_tokens
