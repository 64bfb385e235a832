import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.capture.holding import Agent
from tests.netns.capture.machine import GID, OTHER, PEER, UID, Echo, Machine

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
FLAVOURS = ("nft", "legacy")


@pytest.fixture(autouse=True)
def root() -> None:
    assert os.geteuid() == 0, "network namespaces need root"


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if shutil.which(f"iptables-{name}", path="/usr/sbin:/sbin") is None:
        pytest.fail(f"iptables-{name} is missing: make setup installs it")
    return name


@pytest.fixture
def machine(flavour: str, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(flavour, tmp_path)
    try:
        made.build()
        yield made
    finally:
        made.tear_down()


@pytest.fixture
def world(machine: Machine) -> Iterator[Echo]:
    """Everybody who may answer: Envoy, the agent, applications on the VM; servers and a resolver outside."""
    echo = Echo()
    vm, peer = machine.vm, machine.peer
    echo.listen(machine, vm, TCP, "0.0.0.0", (15001,), "envoy-outbound", UID, GID)
    echo.listen(machine, vm, TCP, "0.0.0.0", (15006,), "envoy-inbound", UID, GID)
    for kind in (TCP, UDP):
        echo.listen(machine, vm, kind, "127.0.0.1", (15053,), "agent-dns", UID, GID)
    echo.listen(machine, vm, TCP, "0.0.0.0", (22, 80, 8080, 15020, 15021, 15090, 15008), "vm-app", 1000, 1000)
    echo.listen(machine, vm, UDP, "0.0.0.0", (53, 9999), "vm-udp", 1000, 1000)
    for address in (PEER, OTHER):
        echo.listen(machine, peer, TCP, address, (53, 80, 5432, 8080), f"tcp-{address}")
        echo.listen(machine, peer, UDP, address, (53, 123, 443), f"udp-{address}")
    echo.start()
    yield echo
    echo.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path / "istio-agent")
    yield agent
    agent.die()
