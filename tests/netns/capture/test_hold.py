"""The privileged process: waits for the agent's gates, captures, looks after the rules, takes them back."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.netns.capture.holding import SOON, Agent, captured, driver, gate, holding, wait_until
from tests.netns.capture.machine import PEER, Echo, Machine
from tests.netns.capture.test_leftovers import MOST_STEPS
from vmagent.capture.watch import RETRY


def test_its_life(machine: Machine, world: Echo, agent: Agent) -> None:
    before = machine.comparable()
    with holding(machine, agent) as process:
        wait_until(lambda: gate(machine) == "waiting: config: the agent is not running", "waiting")
        agent.live()
        wait_until(lambda: gate(machine) == "waiting: config: starting", "seeing the agent")
        assert not captured(machine)
        agent.open()
        took = wait_until(lambda: gate(machine) == "open", "capture")
        assert machine.tcp(machine.vm, PEER, 8080) == "envoy-outbound"
        resident = memory(process.pid)
        print(f"{machine.flavour}: gates open to captured {took * 1000:.0f} ms, hold resident {resident} KB")
        assert resident < 20_000

        agent.close("xds", "istiod is away")
        machine.run("iptables", "-t", "nat", "-D", "PREROUTING", "1")
        wait_until(lambda: machine.verify()["drift"] == [], "repair")

        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SOON)
        assert process.returncode == 0, said
    assert "the rules are not as written, writing them again: ipv4: missing: nat PREROUTING" in said
    assert machine.comparable() == before
    assert gate(machine) == "waiting: capture is stopped"


def memory(pid: int) -> int:
    """Resident KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def test_traffic_goes_direct_when_agent_and_envoy_are_dead_and_not_before(
    machine: Machine, world: Echo, agent: Agent
) -> None:
    agent.live()
    agent.open()
    with holding(machine, agent) as process:
        wait_until(lambda: gate(machine) == "open", "capture")
        agent.die()
        time.sleep(1.5)  # three looks
        assert captured(machine)
        world.hang_up("envoy-outbound")
        took = wait_until(lambda: not captured(machine), "failing open")
        assert 4 < took < 8
        assert machine.tcp(machine.vm, PEER, 8080) == f"tcp-{PEER}"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SOON)
    assert said.count("Envoy takes no connections: taking the rules back") == 1


def test_what_an_apply_that_was_killed_has_left_goes_wherever_it_died(machine: Machine, agent: Agent) -> None:
    """And goes although agent and Envoy are away for good by then."""
    before = machine.comparable()
    agent.open()
    for step in range(MOST_STEPS):
        agent.live()
        with holding(machine, agent, driver(machine, die_at=step)) as process:
            wait_until(lambda: gate(machine) == "open" or "capture apply failed" in gate(machine), "an apply")
            agent.die()
            if gate(machine) == "open":
                assert step > 3
                return
            wait_until(lambda: gate(machine) == "waiting: config: the agent is not running", "noticing that")
            wait_until(lambda: machine.comparable() == before, f"removal of what step {step} left")
            assert not (machine.run_directory / "manifest.json").exists()
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=SOON)
        assert ("only a part of the rules may have been written" in said) == (step > 0)
    pytest.fail("apply never ended")


def test_an_apply_that_keeps_failing_while_captured_is_tried_at_growing_intervals(
    machine: Machine, world: Echo, agent: Agent, tmp_path: Path
) -> None:
    broken, tried = tmp_path / "broken", tmp_path / "tried"
    script = f"test ! -e {broken} || {{ echo . >>{tried}; exit 78; }}; exec {driver(machine)}"
    machine.apply()
    broken.touch()
    agent.live()
    agent.open()
    with holding(machine, agent, shlex.join(("sh", "-c", script))) as process:
        wait_until(tried.exists, "the first try")
        took = wait_until(lambda: tried.read_text().count(".") >= 3, "further tries")
        assert took > RETRY.first  # half of 1 s and half of 2 s
        assert captured(machine)
        broken.unlink()
        wait_until(lambda: gate(machine) == "open", "an apply that works")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SOON)


def test_rules_stay_for_the_next_process_when_systemd_restarts_the_unit(
    machine: Machine, world: Echo, agent: Agent
) -> None:
    agent.live()
    agent.open()
    with holding(machine, agent) as process:
        wait_until(lambda: gate(machine) == "open", "capture")
        process.send_signal(signal.SIGQUIT)
        _, said = process.communicate(timeout=SOON)
        assert process.returncode == 0, said
    assert captured(machine)


def test_an_agent_that_stops_has_the_rules_taken_back_while_envoy_still_serves(
    machine: Machine, world: Echo, agent: Agent
) -> None:
    agent.live()
    agent.open()
    with holding(machine, agent) as process:
        wait_until(lambda: gate(machine) == "open", "capture")
        (agent.directory / "leaving").touch()
        took = wait_until(lambda: gate(machine) == "waiting: the agent is leaving", "the gate")
        assert took < 2
        assert not captured(machine)
        (agent.directory / "leaving").unlink()
        wait_until(lambda: gate(machine) == "open", "capture again")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SOON)


def test_rules_outlive_a_killed_hold_and_the_next_one_takes_them_over(
    machine: Machine, world: Echo, agent: Agent
) -> None:
    before = machine.comparable()
    agent.live()
    agent.open()
    with holding(machine, agent) as process:
        wait_until(lambda: gate(machine) == "open", "capture")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert captured(machine)
    agent.die()
    with holding(machine, agent) as process:
        wait_until(lambda: (machine.run_directory / "lock").read_text().strip() == str(process.pid), "start")
        assert captured(machine)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SOON)
    assert machine.comparable() == before


def test_rules_that_a_person_removed_stay_away_and_the_gate_says_so(
    machine: Machine, world: Echo, agent: Agent
) -> None:
    agent.live()
    agent.open()
    with holding(machine, agent) as process:
        wait_until(lambda: gate(machine) == "open", "capture")
        machine.remove()
        wait_until(lambda: "removed by hand" in gate(machine), "the gate that says so")
        assert not captured(machine)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SOON)


def test_a_second_one_is_refused(machine: Machine, agent: Agent) -> None:
    with holding(machine, agent) as first:
        wait_until(lambda: gate(machine) != "", "start")
        with holding(machine, agent) as second:
            _, said = second.communicate(timeout=SOON)
            assert second.returncode == 75
            assert f"capture is already held by process {first.pid}" in said


def test_settings_that_cannot_be_are_in_the_log_and_the_gate_points_there(
    machine: Machine, agent: Agent
) -> None:
    machine.env["ISTIO_INBOUND_PORTS"] = "http"
    agent.live()
    agent.open()
    with holding(machine, agent) as process:
        wait_until(lambda: "capture apply failed" in gate(machine), "refusal")
        told = gate(machine)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SOON)
    assert "capture apply failed, next try in" in said
    assert "'http' is not a port" in said
    assert "journalctl -u istio-capture" in told
    assert "http" not in told


def test_what_the_agents_user_puts_into_its_directory_is_neither_published_nor_waited_on(
    machine: Machine, agent: Agent, tmp_path: Path
) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("waiting: hunter2\n")
    gates = agent.directory / "gates"
    agent.live()
    agent.open()
    (gates / "identity").unlink()
    (gates / "identity").symlink_to(secret)
    with holding(machine, agent) as process:
        wait_until(lambda: gate(machine) == "waiting: identity: unreadable", "refusal")
        (gates / "identity").unlink()
        agent.close("config", "starting")
        wait_until(lambda: gate(machine) == "waiting: config: starting", "looking on")
        os.mkfifo(gates / "identity")
        agent.open()
        wait_until(lambda: gate(machine) == "waiting: identity: unreadable", "not waiting for a writer")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SOON)
    assert "hunter2" not in said


def test_without_the_privilege_it_refuses_clearly(tmp_path: Path) -> None:
    code = (
        "import logging,sys; from vmagent.capture.hold import hold; logging.basicConfig(); sys.exit(hold([]))"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c", code],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 77, done.stderr
    assert "needs root with CAP_NET_ADMIN" in done.stderr
