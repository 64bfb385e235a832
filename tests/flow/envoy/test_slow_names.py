"""A tracer whose name never resolves, as the documents' zipkin on a VM: nothing waits for it.

Envoy lives in a network of its own, whose resolver never answers: packets leave, nothing comes back.
"""

import asyncio
import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flow.envoy.parts import BINARY, ControlPlane, control_plane, real
from tests.unit.envoy.examples import ZIPKIN
from vmagent.envoy.bootstrap import bootstrap
from vmagent.envoy.config import Json


@pytest.fixture(autouse=True)
def root() -> None:
    assert os.geteuid() == 0, "needs root for a network namespace"


NETWORK = """
mount --make-rprivate /
mount -t tmpfs none /dev/shm
mount --bind {resolv} /etc/resolv.conf
ip link set lo up
ip link add envoy0 type veth peer name envoy1
ip addr add 10.99.0.1/24 dev envoy0
ip link set envoy0 up
ip link set envoy1 up
ip neigh add 10.99.0.53 lladdr 02:00:00:00:00:01 dev envoy0
exec {command}
"""

SOON = 1.5
"""Seconds. Envoy needs about 0.06; a busy machine some more; one unanswered DNS query 5."""


async def first_request(root: Path, proxy: dict[str, Json], *, wait_for_names: bool = False) -> float | None:
    """Seconds from the start of Envoy to its first CDS request; None if there was none within 4 s."""
    config = real(root, proxy_config=proxy, environment={})
    document: Any = bootstrap(config)
    if wait_for_names:
        for cluster in document["static_resources"]["clusters"]:
            cluster.pop("wait_for_warm_on_init", None)
    path, resolv = root / "bootstrap.json", root / "resolv.conf"
    path.write_text(json.dumps(document))
    resolv.write_text("nameserver 10.99.0.53\n")
    envoy = shlex.join(
        [str(BINARY), "-c", str(path), "-l", "error", "--skip-deprecated-logs", "--disable-hot-restart"]
    )
    async with control_plane(config.xds_socket) as plane:
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--net", "--mount", "sh", "-ec", NETWORK.format(resolv=resolv, command=envoy))
        )
        try:
            return await asked_after(plane, time.monotonic())
        finally:
            process.kill()
            await process.wait()


async def asked_after(plane: ControlPlane, begun: float) -> float | None:
    try:
        async with asyncio.timeout(4):
            kind, moment = await plane.asked.get()
    except TimeoutError:
        return None
    assert kind == "Cluster"
    return moment - begun


async def test_an_unresolvable_zipkin_delays_nothing(tmp_path: Path) -> None:
    seconds = await first_request(tmp_path, ZIPKIN)
    assert seconds is not None
    assert seconds < SOON


async def test_envoy_would_wait_for_the_name_if_we_let_it(tmp_path: Path) -> None:
    """The control experiment: this resolver really keeps an Envoy waiting."""
    assert await first_request(tmp_path, ZIPKIN, wait_for_names=True) is None
