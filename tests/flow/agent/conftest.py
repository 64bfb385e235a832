"""The lab's control plane with the documents' story, and a folder short enough for sockets. Modules that need
others say so by the same names.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab.controlplane.server import ControlPlane, on_any_port, running
from lab.controlplane.settings import Settings
from tests.flow.agent.machine import directory, without_real_sockets
from tests.flow.lab.conftest import STORY


@pytest.fixture
async def control_plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    resources = tmp_path / "resources"
    resources.mkdir()
    (resources / "story.yaml").write_text(STORY)
    given = Settings(resources=resources, state=tmp_path / "state", grace_period=0.5, debounce=0.02)
    async with running(on_any_port(given)) as started:
        without_real_sockets(started)
        yield started


@pytest.fixture
def root() -> Iterator[Path]:
    with directory() as path:
        yield path
