"""What the supervisor decides, with a clock that does not tick and an Envoy that does what it is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.envoy.supervised import READY, WAITING, FakeAdmin, World, running
from vmagent.envoy.drain import ZERO_LIMIT
from vmagent.envoy.states import State
from vmagent.envoy.supervisor import QUICK
from vmagent.errors import Misconfigured, Unavailable
from vmagent.runtime.lifecycle import Tasks


async def test_ready_is_said_when_clusters_listeners_and_workers_are_in(tmp_path: Path) -> None:
    admin = FakeAdmin(Unavailable("refused"), WAITING, READY)
    async with running(World(tmp_path, admin)) as world:
        ready = await world.until(State.READY)
        assert ready.ready
        assert world.clock.slept[:2] == [QUICK, QUICK]
        await world.supervisor.drain()


async def test_what_the_envoy_before_answers_is_not_taken_for_ours(tmp_path: Path) -> None:
    admin = FakeAdmin(replace(READY, epoch=1), replace(READY, epoch=1), READY)
    async with running(World(tmp_path, admin)) as world:
        assert (await world.until(State.READY)).ready
        assert world.clock.slept[:2] == [QUICK, QUICK]
        await world.supervisor.drain()


async def test_the_bootstrap_is_private_and_gone_after_the_stop(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY))) as world:
        await world.until(State.READY)
        path = world.config.config_dir / "envoy-rev0.json"
        assert json.loads(path.read_text())["node"]["cluster"] == "nginx.istio-demo"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        await world.supervisor.drain()
        assert not path.exists()


async def test_an_envoy_that_dies_is_back_at_once_and_later_more_slowly(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(WAITING))) as world:
        for number in range(1, 5):
            (await world.child(number)).exit()
        await world.child(5)
        waits = [slept for slept in world.clock.slept if slept != QUICK]
        assert waits == [0.0, 0.25, 0.5, 1.0]
        assert await world.until(State.STARTING)
        await world.supervisor.drain()


async def test_a_death_closes_the_gate_and_says_when(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY))) as world:
        await world.until(State.READY)
        world.admin.answers = [WAITING]
        (await world.child(1)).exit()
        dead = await world.until(State.BACKOFF)
        assert "Envoy ended after 1.0 s; its log says why" in dead.reason
        again = await world.until(State.STARTING)
        assert (again.ready, again.restarts) == (False, 1)
        await world.supervisor.drain()


async def test_an_early_death_names_the_ports_that_others_hold(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(WAITING))) as world:
        child = await world.child(1)
        world.admin.taken = {2}
        child.exit()
        assert "s; in use by others: port 2" in (await world.until(State.BACKOFF)).reason
        world.admin.taken = set()
        await world.child(2)
        await world.supervisor.drain()


async def test_an_envoy_that_is_too_old_for_an_argument_is_told_by_the_argument(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(WAITING))) as world:
        child = await world.child(1)
        world.complaint = (
            "PARSE ERROR: Argument: --new\n             Couldn't find match for argument\n\nBrief USAGE:"
        )
        child.exit()
        assert "does not know the argument --new" in (await world.until(State.BACKOFF)).reason
        await world.child(2)
        await world.supervisor.drain()


async def test_a_failure_is_said_until_the_next_envoy_answers(tmp_path: Path) -> None:
    """Or the reason would show only between two tries, and whoever asks meanwhile would not see it."""
    async with running(World(tmp_path, FakeAdmin(Unavailable("refused")))) as world:
        assert "Envoy is starting" in (await world.until(State.STARTING)).reason
        (await world.child(1)).exit()
        died = (await world.until(State.BACKOFF)).reason
        await world.child(2)
        assert (await world.until(State.STARTING)).reason == died
        world.admin.answers = [WAITING]
        assert (await world.until(State.STARTING, WAITING.missing)).reason != died
        await world.supervisor.drain()


async def test_a_missing_binary_is_named_and_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path, FakeAdmin(READY))
    world.refusals = [Misconfigured("/x/envoy: no such file", hint="install it") for _ in range(3)]
    async with running(world):
        assert (
            await world.until(State.BACKOFF, "no such file")
        ).reason == "/x/envoy: no such file; install it"
        await world.until(State.READY)
        await world.supervisor.drain()


async def test_envoy_is_not_started_while_another_process_has_its_admin_port(tmp_path: Path) -> None:
    admin = FakeAdmin(READY)
    admin.taken = {1}
    async with running(World(tmp_path, admin)) as world:
        assert (
            "port 1 (defaultConfig.proxyAdminPort): another process has it"
            in (await world.until(State.BACKOFF, "port")).reason
        )
        assert world.children == []
        admin.taken = set()
        await world.until(State.READY)
        await world.supervisor.drain()


async def test_an_envoy_that_no_longer_answers_is_not_ready(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY))) as world:
        await world.until(State.READY)
        world.admin.answers = [Unavailable("no answer in time")]
        assert (await world.until(State.UNREADY)).reason == "no answer in time"
        world.admin.answers = [READY]
        await world.until(State.READY)
        await world.supervisor.drain()


async def test_a_stop_drains_and_leaves_when_nobody_is_connected(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY))) as world:
        await world.until(State.READY)
        await world.supervisor.drain()
        assert world.admin.asked == ["drain", "count"]
        assert world.children[0].log == ["TERM"]
        assert (await world.until(State.ENDED)).reason == "Envoy has ended"
        assert len(world.children) == 1


async def test_a_router_is_drained_of_all_its_connections(tmp_path: Path) -> None:
    """Its listeners count as outbound, so draining the inbound ones would drain nothing."""
    async with running(World(tmp_path, FakeAdmin(READY), drains_inbound_only=False)) as world:
        await world.until(State.READY)
        await world.supervisor.drain()
        assert world.admin.asked == ["drain all", "count"]


async def test_a_stop_does_not_wait_longer_than_it_may(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY))) as world:
        await world.until(State.READY)
        world.admin.connections = 7
        begun = world.clock.time
        await world.supervisor.drain()
        assert 5.0 <= world.clock.time - begun < world.supervisor.grace
        assert world.children[0].log == ["TERM"]


async def test_exit_on_zero_counts_only_after_its_minimum_and_is_bounded(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY), exit_on_zero=True)) as world:
        await world.until(State.READY)
        begun = world.clock.time
        await world.supervisor.drain()
        assert world.clock.time - begun >= 5.0
        assert world.supervisor.grace > 5.0 + ZERO_LIMIT


async def test_an_envoy_that_never_served_is_ended_without_a_drain(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(WAITING))) as world:
        await world.until(State.STARTING)
        await world.supervisor.drain()
        assert world.admin.asked == []
        assert world.children[0].log == ["TERM"]


async def test_an_envoy_that_is_left_to_the_next_agent_is_neither_drained_nor_ended(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY))) as world:
        await world.until(State.READY)
        world.supervisor.stays = True
        await world.supervisor.drain()
        assert (world.admin.asked, world.children[0].log) == ([], [])
        assert (world.config.config_dir / "envoy-rev0.json").exists()


async def test_a_stop_ends_the_waiting_for_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path, FakeAdmin(READY))
    world.refusals = [Misconfigured("no")] * 1000
    async with running(world):
        await world.until(State.BACKOFF)
        await world.supervisor.drain()
        await world.until(State.ENDED)
        assert world.children == []


async def test_a_drain_that_is_cancelled_leaves_no_envoy_behind(tmp_path: Path) -> None:
    async with running(World(tmp_path, FakeAdmin(READY))) as world:
        await world.until(State.READY)
        world.admin.connections = 1
        async with Tasks() as tasks:
            drain = tasks.start("drain", world.supervisor.drain())
            await world.admin.counted.wait()
            drain.cancel()
        assert world.children[0].log[-1] == "KILL"


def test_what_envoy_cannot_be_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="proxyBootstrapTemplatePath"):
        World(tmp_path, FakeAdmin(READY), proxy_config={"proxyBootstrapTemplatePath": "/x"})
