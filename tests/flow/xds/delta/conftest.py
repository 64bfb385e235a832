"""A control plane with istiod's habits (istiod.py), and a machine that has joined it incrementally."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.controlplane import type_urls
from tests.flow.xds.delta.resources import CDS, EDS, clusters, endpoints, table
from tests.flow.xds.istiod import Istiod
from tests.flow.xds.machine import Machine
from vmagent.identity.trust import Roots


def on(port: int, folder: Path) -> Machine:
    return Machine(folder=folder, port=port, roots=Roots(pem=b"", path=Path("none")), tls=False, delta=True)


@pytest.fixture
async def istiod() -> AsyncIterator[Istiod]:
    plane = Istiod()
    plane.change(CDS, clusters("web", "db"))
    plane.change(type_urls.LISTENER, {})
    plane.change(EDS, {name: endpoints(name) for name in ("web", "db")})
    plane.change(type_urls.NAME_TABLE, {"": table("web.example")})
    async with plane.running():
        yield plane


@pytest.fixture
async def vm(istiod: Istiod, tmp_path: Path) -> AsyncIterator[Machine]:
    async with on(istiod.port, tmp_path).running() as machine:
        await machine.hub.complete.first()
        yield machine
