"""What is wrong with the machine itself: ports, Envoy, privilege, a second agent."""

import pytest

from lab.hosts import services
from lab.hosts.process import Process
from tests.netns.wrong_files.machine import CLUSTER_ENV, ENVOY, USER, Machine

OLD = """#!/bin/sh
# As an Envoy that is older than the argument: it refuses the first one that it does not know.
for word; do
  if [ "$word" = --drain-strategy ]; then
    echo "PARSE ERROR: Argument: $word
             Couldn't find match for argument

Brief USAGE: " >&2
    exit 1
  fi
done
"""

LISTENER = (
    "import socket,sys,time;"
    "s=socket.socket();s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1);"
    "s.bind(('127.0.0.1',int(sys.argv[1])));s.listen();time.sleep(600)"
)


def _occupy(machine: Machine, port: int, user: str) -> Process:
    process = machine.vm.spawn(
        ["/usr/bin/python3", "-c", LISTENER, str(port)], user=user, log="/tmp/occupy.log"
    )
    machine.vm.until_listening(process, port)
    return process


PORTS = [
    (15020, "config", "defaultConfig.statusPort"),
    (15053, "config", "DNS_PROXY_ADDR"),
    (15000, "envoy", "defaultConfig.proxyAdminPort"),
]


@pytest.mark.parametrize(("port", "gate", "key"), PORTS)
def test_who_holds_a_port_is_named_and_waited_for(machine: Machine, port: int, gate: str, key: str) -> None:
    process = _occupy(machine, port, USER)
    try:
        line = machine.check_first(78, key)
        machine.start()
        told = machine.until_told(gate, str(port), key, f"pid {process.pid} (python3) has it")
        assert line in told
    finally:
        process.kill()
    machine.until_joined(within=20)


def test_of_a_holder_whom_the_agent_may_not_look_into_the_user_is_named(machine: Machine) -> None:
    process = _occupy(machine, 15020, "root")
    try:
        machine.start()
        machine.until_told("config", "15020", "a process of user root has it")
    finally:
        process.kill()


def test_without_envoy_the_agent_says_so_and_serves_names(machine: Machine) -> None:
    machine.vm.run(["mv", ENVOY, f"{ENVOY}.away"])
    try:
        machine.start()
        line = machine.until_told("envoy", ENVOY, "no such file", "binaryPath")
        machine.checked(78, line)
    finally:
        machine.vm.run(["mv", f"{ENVOY}.away", ENVOY])
    machine.until_joined(within=20)


def test_an_envoy_that_is_too_old_is_told_by_the_argument(machine: Machine) -> None:
    """A script in its place: a real one of that age is not at hand."""
    machine.vm.run(["mv", ENVOY, f"{ENVOY}.away"])
    try:
        machine.vm.write(ENVOY, OLD, mode=0o755)
        machine.start()
        machine.until_told("envoy", ENVOY, "does not know the argument --drain-strategy", "install a newer")
    finally:
        machine.vm.run(["mv", f"{ENVOY}.away", ENVOY])
    machine.until_joined(within=20)


@pytest.mark.parametrize("verb", ["apply", "remove"])
def test_capture_without_root_is_refused(machine: Machine, verb: str) -> None:
    machine.refused(f"vmagent capture {verb}", 77, "root", "sudo", user=USER)
    machine.assert_unharmed()


def test_a_second_agent_names_the_first(machine: Machine) -> None:
    machine.start()
    machine.until_joined()
    assert machine.agent is not None
    second = services.start_unit(
        machine.vm, services.read_unit(services.AGENT), log="/var/log/istio/second.log"
    )
    assert second.process.wait(10) == 78
    said = machine.vm.read("/var/log/istio/second.log").splitlines()[-2:]
    assert f"another agent (pid {machine.agent.process.pid}) runs on this machine" in said[0]
    machine.assert_documented(said[0].removeprefix("vmagent: "))
    machine.until_joined()


def test_any_user_may_ask_what_the_agent_does_and_none_can_stand_in_its_way(machine: Machine) -> None:
    nobody = "nobody"
    assert "not running" in machine.vm.run(["vmagent", "status"], check=False, user=nobody).stdout
    machine.start()
    machine.vm.run(["vmagent", "wait", "--timeout", "15"], user=nobody)
    machine.until_captured()
    shown = machine.vm.run(["vmagent", "status"], user=nobody).stdout
    assert "traffic goes through Envoy" in shown
    for place in ("istio-agent", "istio-capture"):
        refused = machine.vm.run(["flock", "-s", f"/run/{place}/lock", "true"], check=False, user=nobody)
        assert "Permission denied" in refused.stderr


def test_root_publishes_nothing_of_what_the_agents_user_may_point_at(machine: Machine) -> None:
    machine.start()
    machine.until_joined()
    machine.until_captured()
    machine.vm.write("/etc/lab-secret", "root:hunter2:19000\n", mode=0o600)
    for path in (CLUSTER_ENV, "/run/istio-agent/gates/identity"):
        machine.vm.run(["ln", "-sf", "/etc/lab-secret", path], user=USER)
    done = machine.vm.run(["vmagent", "capture", "apply"], check=False)
    assert done.returncode == 75
    assert "a symbolic link, not followed here" in done.stderr
    told = machine.vm.run(
        ["sh", "-c", "vmagent status; vmagent wait --timeout 0; vmagent capture plan"], check=False
    )
    assert "identity: unreadable" in told.stderr
    assert "hunter2" not in done.stderr + told.stdout + told.stderr
    machine.vm.run(["rm", CLUSTER_ENV])


def test_an_agent_that_waited_and_joined_leaves_nothing(machine: Machine) -> None:
    machine.write_token("")
    machine.start()
    machine.until_told("identity", "is empty")
    machine.write_token()
    machine.until_joined()
    machine.until_captured()
    machine.assert_gone()
