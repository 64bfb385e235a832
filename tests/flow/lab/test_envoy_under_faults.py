"""What the control plane says wrongly on request is what a real Envoy refuses, or takes."""

from pathlib import Path
from typing import Any

import pytest

from lab.controlplane import type_urls
from lab.controlplane.server import ControlPlane
from lab.controlplane.spoil import REFUSED_LISTENER
from tests.flow.lab.test_envoy_follows_streams import envoy_on

ENVOYS_PATIENCE = 30.0


@pytest.mark.parametrize("api_type", ["GRPC", "DELTA_GRPC"])
@pytest.mark.usefixtures("without_real_sockets")
@pytest.mark.parametrize(
    ("faults", "type_url", "reason"),
    [
        ({"refused_listener": True}, type_urls.LISTENER, REFUSED_LISTENER),
        ({"garbage": "resource"}, type_urls.CLUSTER, "unpack"),
    ],
    ids=["listener", "garbage"],
)
async def test_envoy_refuses_what_it_is_meant_to_refuse_and_says_why(
    control_plane: ControlPlane,
    tmp_path: Path,
    api_type: str,
    faults: dict[str, Any],
    type_url: str,
    reason: str,
) -> None:
    async with envoy_on(control_plane, tmp_path, api_type):
        await control_plane.until(
            lambda lab: lab.connections and type_url in lab.connections[0].accepted, timeout=ENVOYS_PATIENCE
        )
        await control_plane.misbehave(**faults)
        await control_plane.until(
            lambda lab: type_url in lab.connections[0].rejected, timeout=ENVOYS_PATIENCE
        )
        assert reason in control_plane.connections[0].rejected[type_url]
        await control_plane.misbehave(**dict.fromkeys(faults, ""))
        await control_plane.until(lambda lab: not lab.connections[0].rejected, timeout=ENVOYS_PATIENCE)


@pytest.mark.usefixtures("without_real_sockets")
async def test_envoy_takes_a_very_large_push(control_plane: ControlPlane, tmp_path: Path) -> None:
    control_plane.faults.padding = 20_000_000
    async with envoy_on(control_plane, tmp_path, "DELTA_GRPC"):
        await control_plane.until(
            lambda lab: lab.connections and type_urls.CLUSTER in lab.connections[0].accepted,
            timeout=ENVOYS_PATIENCE,
        )
        assert control_plane.connections[0].sent[type_urls.CLUSTER].size > 20_000_000
