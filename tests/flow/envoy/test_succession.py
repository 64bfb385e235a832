"""A real Envoy outlives the supervisor that started it; the next one adopts it, or replaces it in flight."""

import asyncio
import errno
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.flow.envoy.parts import Printed, control_plane, on_its_own, real, supervised, until
from tests.flow.envoy.test_output import ask, serving
from tests.flow.xds.machine import until as eventually
from tests.ports import free_ports
from vmagent.envoy.arguments import shared_memory
from vmagent.envoy.bootstrap import EPOCH
from vmagent.envoy.config import EnvoyConfig, Timing
from vmagent.envoy.footprint import Footprint
from vmagent.envoy.output import Output
from vmagent.envoy.process import ProcessId
from vmagent.envoy.states import State
from vmagent.envoy.succession import Heir, Succession
from vmagent.envoy.supervisor import EnvoyState, Supervisor
from vmagent.runtime import files
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
    async with control_plane(config.xds_socket) as plane:
        old = await left_behind(config)
        failed: list[str] = []
        enough = asyncio.Event()

        async def clients() -> None:
            while not enough.is_set():
                try:
                    await ask(port, "/")
                except (OSError, AssertionError) as why:
                    failed.append(repr(why))
                await asyncio.sleep(0)

        changed = replace(config, node=replace(config.node, metadata={"SITE": "b"}))
        async with supervised(changed) as second, Tasks() as tasks:
            tasks.start("clients", clients())
            new = await until(second, State.READY)
            assert new.pid != old.pid
            record = Footprint(changed).recorded()
            assert record is not None
            assert (record.epoch, record.parent and record.parent.pid) == (1, old.pid)
            await eventually(lambda: ProcessId.of(old.pid) is None, within=10)
            enough.set()
        assert failed == []
        epochs = [node.metadata[EPOCH] for node in plane.nodes]
        assert epochs == ["0", "1"], "two that ask at once can be told apart"


async def test_an_operators_own_bootstrap_is_adopted_and_gives_way_to_another_one(tmp_path: Path) -> None:
    config = on_its_own(real(tmp_path), tmp_path / "own.json")
    async with control_plane(config.xds_socket) as plane:
        old = await left_behind(config)
        async with crashing(config) as second:
            assert (await until(second, State.READY)).pid == old.pid
        changed = on_its_own(config, tmp_path / "other.yaml", locality={"region": "b"})
        async with supervised(changed) as third:
            new = await until(third, State.READY)
            assert new.pid != old.pid
        told = [(node.metadata[EPOCH], node.locality.region) for node in plane.nodes]
        assert told == [("0", ""), ("1", "b")]


@pytest.mark.parametrize(
    ("own", "text", "why"),
    [
        (False, "admin: {address: 7}\n", "it says: "),
        (True, "admin: {address: 7}\n", "it says: "),
        (True, "- admin\n", "ISTIO_BOOTSTRAP_OVERRIDE: {override} is no mapping; write "),
    ],
)
async def test_a_bootstrap_that_would_not_start_leaves_the_old_envoy_in_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, own: bool, text: str, why: str
) -> None:
    config = real(tmp_path)
    if own:
        config = on_its_own(config, tmp_path / "own.json")
    override = tmp_path / "wrong.yaml"
    override.write_text(text)
    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        async with supervised(replace(config, bootstrap_override=override)) as second:
            assert (await until(second, State.READY)).pid == old.pid
    assert f"the new one would not start: {why.format(override=override)}" in caplog.text


async def test_one_that_starts_only_to_end_gives_the_old_envoy_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What no trial beside it can show: the two do not speak the same version of hot restart."""
    config = real(tmp_path)
    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        with shared_memory(config).open("r+b") as memory:
            memory.seek(8)
            memory.write((7).to_bytes(8, "little"))
        changed = replace(config, node=replace(config.node, metadata={"SITE": "b"}))
        async with supervised(changed) as second:
            assert (await until(second, State.READY)).pid == old.pid
            record = Footprint(changed).recorded()
            assert record is not None
            assert (record.process.pid, record.epoch, record.parent) == (old.pid, 0, None)
    assert "Envoy goes on as an earlier agent started it" in caplog.text
    assert ProcessId.of(old.pid) is None


async def test_an_envoy_is_adopted_where_there_is_no_room_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = real(tmp_path)
    async with control_plane(config.xds_socket):
        old = await left_behind(config)

        def full(path: Path, *_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        monkeypatch.setattr(files, "write", full)
        async with supervised(config) as second:
            assert (await until(second, State.READY)).pid == old.pid
            monkeypatch.undo()


async def test_a_stop_before_it_is_adopted_lets_it_go_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = real(tmp_path)
    caplog.set_level("INFO", "envoy")
    looking = asyncio.Event()

    async def for_long(_: Succession) -> Heir:
        looking.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        monkeypatch.setattr(Succession, "heir", for_long)
        async with supervised(config):
            await looking.wait()
        assert ProcessId.of(old.pid) is None
    assert "Envoy ended by SIGTERM" in caplog.text
    assert "draining is not possible" not in caplog.text
    assert Footprint(config).recorded() is None


async def test_a_pid_that_is_a_threads_by_now_is_no_process(tmp_path: Path) -> None:
    config = real(tmp_path)
    thread = next(int(each) for each in os.listdir("/proc/self/task") if int(each) != os.getpid())
    async with control_plane(config.xds_socket):
        old = await left_behind(config)
        record = Footprint(config).recorded()
        assert record is not None
        Footprint(config).record(replace(record, parent=ProcessId(thread, 1.0)))
        async with supervised(config) as second:
            assert (await until(second, State.READY)).pid == old.pid


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
