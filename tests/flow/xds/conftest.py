from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.controlplane.server import ControlPlane, on_any_port, running
from lab.controlplane.settings import Settings
from tests.flow.lab.conftest import STORY
from tests.flow.xds.machine import Machine, machine


@pytest.fixture
async def control_plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    resources = tmp_path / "resources"
    resources.mkdir()
    (resources / "story.yaml").write_text(STORY)
    given = Settings(
        resources=resources, state=tmp_path / "state", grace_period=0.5, debounce=0.02, poll=0.05
    )
    async with running(on_any_port(given)) as started:
        yield started


@pytest.fixture(params=[False, True], ids=["state of the world", "incremental"])
async def vm(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path: Path
) -> AsyncIterator[Machine]:
    """Joined, in whichever variant: it has everything that it asks for by itself."""
    async with machine(control_plane, tmp_path, delta=request.param).running() as running_machine:
        await running_machine.hub.complete.first()
        yield running_machine
