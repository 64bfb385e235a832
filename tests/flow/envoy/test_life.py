"""A real Envoy is started, killed, replaced, drained and ended by the real supervisor."""

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.flow.envoy.parts import Printed, control_plane, on_its_own, real, supervised, until
from vmagent.envoy.addresses import family
from vmagent.envoy.admin import Admin
from vmagent.envoy.arguments import shared_memory
from vmagent.envoy.bootstrap import EPOCH
from vmagent.envoy.footprint import SHARED_MEMORY, Footprint
from vmagent.envoy.launch import spawn
from vmagent.envoy.process import ProcessId, Running
from vmagent.envoy.states import State
from vmagent.errors import Unavailable


def unrecorded(_: ProcessId) -> None:
    """Nobody shall find it again."""


async def test_envoy_becomes_ready_once_clusters_and_listeners_are_in(tmp_path: Path) -> None:
    config = real(tmp_path)
    async with control_plane(config.xds_socket) as plane, supervised(config) as supervisor:
        ready = await until(supervisor, State.READY)
        assert ready.ready
        assert [(await plane.asked.get())[0] for _ in range(2)] == ["Cluster", "Listener"]
        recorded = Footprint(config).recorded()
        assert recorded is not None
        assert recorded.process == ProcessId.of(ready.pid)
        assert (Path("/dev/shm") / (tmp_path / "proxy" / SHARED_MEMORY).read_text().strip()).exists()
    assert ProcessId.of(ready.pid) is None
    assert not (tmp_path / "proxy" / SHARED_MEMORY).exists()
    assert list((tmp_path / "proxy").glob("envoy-rev*")) == []
    assert not (tmp_path / "envoy.pid").exists()
    assert not shared_memory(config).exists()


async def test_an_envoy_without_configuration_waits_and_says_for_what(tmp_path: Path) -> None:
    config = real(tmp_path)
    async with control_plane(config.xds_socket) as plane:
        plane.silent = True
        async with supervised(config) as supervisor:
            async with asyncio.timeout(10):
                async for found in supervisor.state.changes():
                    if "waits for its configuration (accepted: clusters 0, listeners 0)" in found.reason:
                        break
            assert found.state is State.STARTING


async def test_a_killed_envoy_is_replaced_at_once(tmp_path: Path) -> None:
    config = real(tmp_path)
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        first = await until(supervisor, State.READY)
        killed = time.monotonic()
        os.kill(first.pid, signal.SIGKILL)
        second = await until(supervisor, State.READY, other_than=first.pid)
        assert second.restarts == 1
        assert time.monotonic() - killed < 3


async def test_a_stopped_envoy_is_not_ready_until_it_goes_on(tmp_path: Path) -> None:
    config = real(tmp_path)
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        ready = await until(supervisor, State.READY)
        os.kill(ready.pid, signal.SIGSTOP)
        hung = await until(supervisor, State.UNREADY)
        assert "no answer in time" in hung.reason
        os.kill(ready.pid, signal.SIGCONT)
        assert (await until(supervisor, State.READY)).pid == ready.pid


async def test_an_idle_envoy_is_gone_soon_after_the_stop(tmp_path: Path) -> None:
    config = real(tmp_path)
    async with control_plane(config.xds_socket):
        async with supervised(config) as supervisor:
            await until(supervisor, State.READY)
            begun = time.monotonic()
        assert time.monotonic() - begun < config.timing.termination_drain


async def test_a_missing_binary_is_named_until_it_is_there(tmp_path: Path) -> None:
    link = tmp_path / "envoy"
    config = real(tmp_path, binary=link)
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        missing = await until(supervisor, State.BACKOFF)
        assert f"{link}: no such file" in missing.reason
        link.symlink_to(real(tmp_path).binary)
        await until(supervisor, State.READY)


async def test_a_bootstrap_that_envoy_refuses_leaves_the_agent_alive(tmp_path: Path) -> None:
    override = tmp_path / "override.yaml"
    override.write_text("no_such_field: 1\nadmin: {address: 7}\n")
    config, printed = real(tmp_path, bootstrap_override=override), Printed()
    async with supervised(config, printed) as supervisor:
        ended = await until(supervisor, State.BACKOFF)
        assert "it says: error initializing configuration" in ended.reason
        assert "address" in ended.reason
    assert "address" in printed.text


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    config = real(tmp_path)
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", config.ports.admin)
    async with server, supervised(config) as supervisor:
        reason = (await until(supervisor, State.BACKOFF)).reason
        assert f"port {config.ports.admin} (defaultConfig.proxyAdminPort): pid {os.getpid()} " in reason


@pytest.mark.parametrize("own", ["", "own.json", "own.yaml"])
async def test_an_override_is_merged_over_the_bootstrap_as_envoy_reads_it(tmp_path: Path, own: str) -> None:
    """Over one of the operator's own the agent lays more, for which it has to read it, too."""
    override = tmp_path / "override.yaml"
    override.write_text(
        "stats_config: {use_all_default_tags: false}\n"
        'node:\n  metadata: {SITE: b, MODE: 0777, DAY: 2026-01-01, AT: 1:30, ON: on, NO: "no"}\n'
    )
    config = real(tmp_path, bootstrap_override=override)
    if own:
        config = on_its_own(config, tmp_path / own)
    async with control_plane(config.xds_socket) as plane, supervised(config) as supervisor:
        await until(supervisor, State.READY)
    told = plane.nodes[0].metadata
    assert [told[key] for key in ("SITE", "MODE", "DAY", "AT", "ON", "NO")] == [
        *("b", 0o777, "2026-01-01", "1:30", True, "no")
    ]
    assert (told["NAMESPACE"], told[EPOCH]) == ("istio-demo", "0")


async def test_a_bootstrap_of_the_operators_own_needs_no_node(tmp_path: Path) -> None:
    override, own = tmp_path / "override.json", tmp_path / "own.json"
    override.write_text('{"node": {"id": "mine", "cluster": "ours"}}')
    config = on_its_own(real(tmp_path, bootstrap_override=override), own)
    document = json.loads(own.read_text())
    del document["node"]
    own.write_text(json.dumps(document))
    async with control_plane(config.xds_socket) as plane, supervised(config) as supervisor:
        await until(supervisor, State.READY)
    told = plane.nodes[0]
    assert (told.id, told.cluster, dict(told.metadata)) == ("mine", "ours", {EPOCH: "0"})


async def test_an_override_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    override = tmp_path / "override.yaml"
    override.write_text("- admin\n")
    config = on_its_own(real(tmp_path, bootstrap_override=override), tmp_path / "own.json")
    async with supervised(config) as supervisor:
        ended = await until(supervisor, State.BACKOFF)
    assert f"ISTIO_BOOTSTRAP_OVERRIDE: {override} is no mapping; write " in ended.reason


async def test_two_agents_with_ports_of_their_own_share_a_machine(tmp_path: Path) -> None:
    one, two = real(tmp_path / "one"), real(tmp_path / "two")
    for config in (one, two):
        config.run_dir.mkdir()
    async with control_plane(one.xds_socket), control_plane(two.xds_socket):
        async with supervised(one) as first, supervised(two) as second:
            ready = await until(first, State.READY), await until(second, State.READY)
            assert ready[0].pid != ready[1].pid


async def test_envoy_inherits_nothing_and_leads_its_own_session(tmp_path: Path) -> None:
    config = real(tmp_path)
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        pid = (await until(supervisor, State.READY)).pid
        assert Path(f"/proc/{pid}/environ").read_bytes() == b"PATH=/usr/bin:/bin\0"
        assert os.getpgid(pid) == os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
        assert str(Path(f"/proc/{pid}/fd/1").readlink()).startswith("pipe:")


async def test_a_process_that_ignores_term_is_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    reader, writer = os.pipe()
    child = await spawn([sys.executable, "-c", deaf], {}, (writer, writer), unrecorded)
    assert await asyncio.to_thread(os.read, reader, 1) == b"\n"
    assert await child.stop(0.2) == "SIGKILL"
    await child.wait()


async def test_an_admin_interface_that_talks_nonsense_is_unavailable() -> None:
    for answer in (
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 503 no\r\n\r\nbusy",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 200_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
    ):

        async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter, say: bytes = answer) -> None:
            writer.write(say)
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            admin = Admin("127.0.0.1", server.sockets[0].getsockname()[1])
            try:
                await admin.facts()
            except Unavailable:
                continue
            raise AssertionError(answer)


async def test_an_ipv6_envoy_is_asked_over_ipv6(tmp_path: Path) -> None:
    config = replace(real(tmp_path), ips=("fd00::1",))
    assert family(config.ips, dual_stack=False).localhost == "::1"
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        await until(supervisor, State.READY)


async def test_a_process_that_got_the_number_of_another_one_is_left_alone() -> None:
    child = await spawn([sys.executable, "-c", "import time; time.sleep(60)"], {}, None, unrecorded)
    process = ProcessId.of(child.pid)
    assert process is not None
    assert Running.of(ProcessId(process.pid, process.born - 5)) is None
    found = Running.of(process)
    assert found is not None
    assert await found.stop(1) == "SIGTERM"
    await child.wait()
    assert Running.of(process) is None


async def test_an_agent_that_ends_before_it_has_written_envoy_down_leaves_none() -> None:
    born: list[ProcessId] = []

    def full_disk(process: ProcessId) -> None:
        born.append(process)
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await spawn([sys.executable, "-c", "import time; time.sleep(60)"], {}, None, full_disk)
    left = Running.of(born[0])
    if left is not None:
        async with asyncio.timeout(5):
            await left.wait()
