"""Afterwards the machine's rules are as before: whatever was there, whatever changed meanwhile, wherever it
died.
"""

import itertools
import json
import shlex
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.netns.capture.foreign import DOCKER, NOBODY, UFW
from tests.netns.capture.machine import Machine, answer

FOREIGN = {"nobody": NOBODY, "docker": DOCKER, "ufw": UFW, "docker-and-ufw": DOCKER + UFW}

A: dict[str, str] = {"ISTIO_EXCLUDE_INTERFACES": "docker0", "DROP_INVALID": "true"}
B: dict[str, str] = {
    "ISTIO_META_DNS_CAPTURE": "false",
    "ISTIO_INBOUND_PORTS": "8080",
    "ISTIO_SERVICE_CIDR": "10.0.0.0/8",
    "ISTIO_DUAL_STACK": "true",
}
MOST_STEPS = 40
"""More than any apply or remove has; a test fails if it is reached."""


def load(machine: Machine, rules: str) -> None:
    if rules:
        machine.run("iptables-restore", "--noflush", text=rules)


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("env", [A, B, {}], ids=["A", "B", "typical"])
def test_apply_and_remove_leave_the_rules_as_they_were(
    machine: Machine, foreign: str, env: dict[str, str]
) -> None:
    load(machine, FOREIGN[foreign])
    before = machine.saved() if machine.flavour == "nft" else machine.comparable()
    assert machine.apply(**env)["changed"]
    assert machine.comparable() != before
    assert machine.verify()["drift"] == []
    assert machine.remove()["changed"]
    assert machine.comparable() == before


def test_on_nf_tables_no_table_and_no_chain_of_ours_is_left(machine: Machine) -> None:
    if machine.flavour != "nft":
        assert machine.run("nft", "list", "tables") == ""
        return
    machine.run("nft", "-f", "-", text=SHARED)
    before = machine.run("nft", "-s", "list", "ruleset")
    machine.apply(**A)
    machine.remove()
    machine.driver("purge")
    assert machine.run("nft", "-s", "list", "ruleset") == before


SHARED = """\
table ip nat {
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
	}
}
table inet theirs {
	chain OUTPUT {
		type filter hook output priority filter; policy accept;
	}
}
"""


def test_applied_twice_is_applied_once(machine: Machine) -> None:
    machine.apply()
    once = machine.saved()
    assert not machine.apply()["changed"]
    assert machine.saved() == once


@pytest.mark.parametrize(("first", "then"), list(itertools.permutations([A, B, {}], 2)))
def test_other_settings_replace_the_old_rules_and_removal_asks_for_no_settings(
    machine: Machine, first: dict[str, str], then: dict[str, str]
) -> None:
    load(machine, DOCKER)
    before = machine.comparable()
    machine.apply(**then)
    wanted = machine.comparable()
    machine.remove()
    machine.apply(**first)
    machine.apply(**then)
    assert sorted(machine.comparable().splitlines()) == sorted(wanted.splitlines())
    machine.env = {"PROXY_UID": "nonsense"}
    machine.remove()
    assert machine.comparable() == before


@pytest.mark.parametrize("recovery", ["remove", "apply"])
def test_death_between_any_two_steps_of_apply_leaves_nothing_behind(machine: Machine, recovery: str) -> None:
    load(machine, DOCKER + UFW)
    before = machine.comparable()
    for step in range(MOST_STEPS):
        died = machine.driver("apply", env=A, die_at=step).returncode == -signal.SIGKILL
        if recovery == "apply":
            machine.apply(**A)
            assert machine.verify() == {"captured": True, "drift": []}
        machine.remove()
        assert machine.comparable() == before, f"after step {step}"
        if not died:
            assert step > 3
            return
    pytest.fail("apply never ended")


def on_a_small_disk(machine: Machine, *commands: tuple[str, dict[str, str], str]) -> str:
    """Verb, settings and step, one after the other; what they said, and the status of each."""
    driver = f"{sys.executable} -m tests.netns.capture.driver"
    script = [f"mkdir -p {machine.run_directory}", f"mount -t tmpfs -o size=256k x {machine.run_directory}"]
    for verb, env, step in commands:
        settings = shlex.quote(json.dumps({**machine.env, **env}))
        script.append(f"{driver} {verb} {machine.run_directory} {settings} {step} 2>&1; echo status $?")
    argv = machine.inside("sh", "-c", "\n".join(script))
    return subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_a_disk_that_is_full_when_the_rules_are_in_costs_the_rules_and_leaves_nothing(
    machine: Machine,
) -> None:
    load(machine, DOCKER)
    before = machine.comparable()
    said = on_a_small_disk(machine, ("apply", A, "full:record"), ("verify", A, "-1"))
    assert "manifest.json cannot be written: No space left on device" in said
    assert "status 75" in said
    assert '{"captured": false, "drift": []}' in said
    assert machine.comparable() == before


def test_a_disk_that_was_full_before_leaves_the_rules_that_stand(machine: Machine) -> None:
    machine.apply(**A)
    wanted = machine.comparable()
    machine.remove()
    said = on_a_small_disk(machine, ("apply", A, "-1"), ("apply", B, "full:intend"), ("verify", B, "-1"))
    assert "manifest.json cannot be written: No space left on device" in said
    assert '{"captured": true, "drift": []}' in said
    assert sorted(machine.comparable().splitlines()) == sorted(wanted.splitlines())


def test_death_between_any_two_steps_of_a_change_leaves_nothing_behind(machine: Machine) -> None:
    load(machine, DOCKER)
    before = machine.comparable()
    for step in range(MOST_STEPS):
        machine.apply(**A)
        died = machine.driver("apply", env=B, die_at=step).returncode == -signal.SIGKILL
        machine.remove()
        assert machine.comparable() == before, f"after step {step}"
        if not died:
            return
    pytest.fail("apply never ended")


def test_death_between_any_two_steps_of_remove_is_made_good_by_the_next(machine: Machine) -> None:
    load(machine, DOCKER)
    before = machine.comparable()
    for step in range(MOST_STEPS):
        machine.apply(**A)
        died = machine.driver("remove", die_at=step).returncode == -signal.SIGKILL
        machine.remove()
        assert machine.comparable() == before, f"after step {step}"
        if not died:
            return
    pytest.fail("remove never ended")


def test_rules_of_others_that_come_while_capture_is_on_stay(machine: Machine) -> None:
    machine.apply()
    machine.run("iptables-restore", "--noflush", text=DOCKER)
    machine.remove()
    left = machine.run("iptables-save")
    assert "MASQUERADE" in left
    assert "ISTIO" not in left


def test_without_a_manifest_our_rules_are_found_by_their_comments(machine: Machine) -> None:
    machine.apply()
    (machine.run_directory / "manifest.json").unlink()
    assert machine.remove()["changed"]
    assert "ISTIO" not in machine.saved()
    assert not machine.remove()["changed"]


def test_chains_of_another_istio_are_refused_and_left_alone(machine: Machine) -> None:
    theirs = "*nat\n:ISTIO_OUTPUT - [0:0]\n-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN\nCOMMIT\n"
    machine.run("iptables-restore", text=theirs)
    before = machine.saved()
    done = machine.driver("apply")
    assert done.returncode == 78
    assert "chain ISTIO_OUTPUT of table nat exists and is not ours" in done.stderr
    assert machine.saved() == before


def test_a_chain_that_somebody_hung_into_his_own_rules_is_emptied_and_named(machine: Machine) -> None:
    machine.apply()
    machine.run("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "eth9", "-j", "ISTIO_INBOUND")
    done = machine.driver("remove")
    assert "a rule that is not ours jumps to it (-A PREROUTING -i eth9 -j ISTIO_INBOUND)" in done.stderr
    left = [line for line in machine.saved().splitlines() if "ISTIO" in line]
    assert left == [":ISTIO_INBOUND -", "-A PREROUTING -i eth9 -j ISTIO_INBOUND"]


def test_verify_names_what_is_missing_extra_and_out_of_order(machine: Machine) -> None:
    machine.apply()
    machine.run("iptables", "-t", "nat", "-D", "PREROUTING", "1")
    machine.run("iptables", "-t", "nat", "-A", "ISTIO_OUTPUT", "-p", "tcp", "-j", "ACCEPT")
    machine.run("iptables", "-t", "raw", "-F", "ISTIO_INBOUND")
    drift = "\n".join(machine.verify()["drift"])
    assert "ipv4: missing: nat PREROUTING -p tcp" in drift
    assert "ipv4: extra: nat ISTIO_OUTPUT -p tcp -j ACCEPT" in drift
    assert "ipv4: missing: raw ISTIO_INBOUND" in drift
    assert machine.apply()["changed"]
    assert machine.verify() == {"captured": True, "drift": []}


def test_a_flushed_table_is_written_again(machine: Machine) -> None:
    machine.apply()
    machine.run("iptables", "-t", "nat", "-F")
    machine.run("iptables", "-t", "nat", "-X")
    assert machine.verify()["drift"]
    machine.apply()
    assert machine.verify()["drift"] == []
    machine.remove()
    assert "ISTIO" not in machine.saved()


def test_two_at_once_wait_for_each_other(machine: Machine) -> None:
    before = machine.comparable()
    verbs = ["apply", "remove"] * 4
    argvs = [machine.driver_argv(verb, machine.env) for verb in verbs]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for argv in argvs]
    results = [(process.communicate()[1].decode(), process.returncode) for process in running]
    assert [code for _, code in results] == [0] * len(verbs), results
    machine.remove()
    assert machine.comparable() == before


def test_the_xtables_lock_is_waited_for(machine: Machine) -> None:
    """On nf_tables nobody needs it; on legacy hosts apply waits until it is free."""
    wait = 1.0
    with subprocess.Popen(["flock", "/run/xtables.lock", "sleep", str(wait)]):
        time.sleep(0.2)  # until flock has it
        began = time.monotonic()
        machine.apply()
        took = time.monotonic() - began
    assert machine.verify() == {"captured": True, "drift": []}
    assert (took > wait / 2) == (machine.flavour == "legacy")


def test_removal_keeps_to_the_flavour_it_wrote_with(machine: Machine) -> None:
    machine.apply()
    other = "legacy" if machine.flavour == "nft" else "nft"
    for link in (machine.directory / "alternatives").iterdir():
        name, _, tail = link.name.partition("-")
        link.unlink()
        link.symlink_to(f"/usr/sbin/{name}-{other}" + (f"-{tail}" if tail else ""))
    assert answer(machine.driver("verify")) == {"captured": True, "drift": []}
    machine.remove()
    assert "ISTIO" not in machine.run(f"iptables-{machine.flavour}-save")
    assert machine.run(f"iptables-{other}-save") == ""


def test_a_damaged_plan_is_refused_by_the_tool_and_nothing_stays(machine: Machine) -> None:
    """The second table fails: the first, already written, is taken back."""
    before = machine.comparable()
    done = machine.driver("apply", env={"PROXY_UID": "4294967296"})
    assert done.returncode == 75, done.stderr
    assert machine.comparable() == before
    assert not json.loads(machine.driver("verify").stdout)["captured"]
