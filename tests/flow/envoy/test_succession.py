"""A real Envoy outlives the supervisor that started it; the next one adopts it, or replaces it in flight."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.flow.envoy.parts import Printed, control_plane, real, supervised, until
from tests.flow.envoy.test_output import ask, serving
from tests.flow.xds.machine import until as eventually
from tests.ports import free_ports
from vmagent.envoy.arguments import shared_memory
from vmagent.envoy.config import EnvoyConfig, Timing
from vmagent.envoy.footprint import Footprint
from vmagent.envoy.output import Output
from vmagent.envoy.process import ProcessId
from vmagent.envoy.states import State
from vmagent.envoy.supervisor import EnvoyState, Supervisor
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks


@asynccontextmanager
async def crashing(config: EnvoyConfig) -> AsyncIterator[Supervisor]:
    """An agent that ends without a word: neither Envoy nor the files hear of it."""
    async with Tasks() as tasks:
        supervisor = Supervisor(config, clock=SystemClock(), output=Output(Printed().take))
        run = tasks.start("envoy", supervisor.run())
        try:
            yield supervisor
        finally:
            run.cancel()


async def left_behind(config: EnvoyConfig) -> EnvoyState:
    async with crashing(config) as first:
        return await until(first, State.READY)


async def test_an_envoy_outlives_its_agent_and_goes_on_under_the_next_one(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = serving(tmp_path, port, Path("/dev/stdout"))
    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        await ask(port, "/between")
        printed = Printed()
        async with supervised(config, printed) as second:
            assert (await until(second, State.READY)).pid == old.pid
            await ask(port, "/after")
            await eventually(lambda: "seen /after" in printed.text)
            os.kill(old.pid, signal.SIGABRT)
            await eventually(lambda: "Caught Aborted" in printed.text)
            new = await until(second, State.READY, other_than=old.pid)
            await ask(port, "/replaced")
            await eventually(lambda: "seen /replaced" in printed.text)
    assert ProcessId.of(new.pid) is None
    assert not shared_memory(config).exists()
    assert list((tmp_path / "proxy").glob("envoy-rev*")) == []


async def test_an_envoy_that_nobody_reads_serves_on_however_much_it_prints(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = replace(serving(tmp_path, port, Path("/dev/stdout")), log_level="debug")
    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        longest = 0.0
        for number in range(3000):  # about 6 MB of log at this level
            began = time.monotonic()
            await ask(port, f"/{number:0>400}")
            longest = max(longest, time.monotonic() - began)
        assert longest < 1
        printed = Printed()
        async with supervised(config, printed) as second:
            assert (await until(second, State.READY)).pid == old.pid
            await ask(port, "/heard-again")
            await eventually(lambda: "seen /heard-again" in printed.text)
            await eventually(lambda: "request end stream" in printed.text)


async def test_another_bootstrap_is_taken_over_without_a_refused_connection(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = serving(tmp_path, port, tmp_path / "access.log")
    config = replace(config, timing=Timing(drain=1, parent_shutdown=2, file_flush=0.1))
    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        failed: list[str] = []

        async def clients() -> None:
            while True:
                try:
                    await ask(port, "/")
                except (OSError, AssertionError) as why:
                    failed.append(repr(why))
                await asyncio.sleep(0)

        changed = replace(config, node=replace(config.node, metadata={"SITE": "b"}))
        async with supervised(changed) as second, Tasks() as tasks:
            asking = tasks.start("clients", clients())
            new = await until(second, State.READY)
            assert new.pid != old.pid
            record = Footprint(changed).recorded()
            assert record is not None
            assert (record.epoch, record.parent and record.parent.pid) == (1, old.pid)
            await eventually(lambda: ProcessId.of(old.pid) is None, within=10)
            asking.cancel()
        assert failed == []


async def test_a_bootstrap_that_would_not_start_leaves_the_old_envoy_in_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = real(tmp_path)
    override = tmp_path / "wrong.yaml"
    override.write_text("admin: {address: 7}\n")
    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        async with supervised(replace(config, bootstrap_override=override)) as second:
            assert (await until(second, State.READY)).pid == old.pid
    assert "the new one would not start: it says: " in caplog.text


async def test_an_envoy_that_never_served_is_ended_and_not_taken_over_from(tmp_path: Path) -> None:
    config = real(tmp_path)
    async with crashing(config) as first:
        old = await until(first, State.STARTING)
    changed = replace(config, node=replace(config.node, metadata={"SITE": "b"}))
    async with control_plane(config.xds_socket), supervised(changed) as second:
        await until(second, State.READY)
        record = Footprint(changed).recorded()
        assert record is not None
        assert record.epoch == 0
    assert ProcessId.of(old.pid) is None


@pytest.mark.parametrize("text", ["", "\0\0\0", "1 2 x y", "99999999 1.00 0 d"])
async def test_a_record_that_names_nobody_is_no_reason_not_to_start(tmp_path: Path, text: str) -> None:
    config = real(tmp_path)
    (tmp_path / "envoy.pid").write_text(text)
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        await until(supervisor, State.READY)
