"""The words an operator types, run in the machine."""

import json
import subprocess
import sys

from tests.conftest import ROOT
from tests.netns.capture.machine import Machine

CODE = """
import json, sys
from vmagent.cli.capture import command
from vmagent.errors import VmagentError
env = json.loads(sys.argv[1])
try:
    command(lambda: (env, {}))(sys.argv[2:])
except VmagentError as error:
    sys.exit(f"{error} / {error.hint}")
"""


def vmagent_capture(machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    directory = f"--directory={machine.run_directory}"
    argv = machine.inside(sys.executable, "-c", CODE, json.dumps(machine.env), *words, directory)
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)


def test_plan_changes_nothing_and_prints_what_apply_writes(machine: Machine) -> None:
    before = machine.saved()
    said = vmagent_capture(machine, "plan").stdout
    assert f"iptables-{machine.flavour}-restore --noflush" in said
    assert '-A OUTPUT -m comment --comment "istio-agent:outbound" -j ISTIO_OUTPUT' in said
    assert machine.saved() == before
    assert not machine.run_directory.exists()


def test_the_verbs_tell_what_they_did(machine: Machine) -> None:
    assert vmagent_capture(machine, "show").stdout == "not captured\n"
    assert vmagent_capture(machine, "apply").stdout.startswith("captured (iptables v")
    assert "already captured, nothing changed" in vmagent_capture(machine, "apply").stdout
    shown = vmagent_capture(machine, "show").stdout
    assert "# not captured: ipv6" in shown
    assert ":ISTIO_OUTPUT - [0:0]" in shown
    assert vmagent_capture(machine, "verify").stdout == "the rules are as written\n"
    machine.run("iptables", "-t", "nat", "-F", "ISTIO_OUTPUT")
    verified = vmagent_capture(machine, "verify")
    assert verified.returncode == 1
    assert "ipv4: missing: nat ISTIO_OUTPUT" in verified.stdout
    assert (
        json.loads(vmagent_capture(machine, "show", "--json").stdout)["tools"]["flavour"] == machine.flavour
    )
    assert vmagent_capture(machine, "remove").stdout == "taken back\n"
    assert vmagent_capture(machine, "remove", "--purge").stdout == "nothing of ours was there\n"


def test_a_wrong_setting_is_one_line_with_a_remedy(machine: Machine) -> None:
    machine.env["ISTIO_SERVICE_CIDR"] = "10.0.0.1"
    refused = vmagent_capture(machine, "apply")
    assert refused.returncode != 0
    assert refused.stderr.startswith("ISTIO_SERVICE_CIDR='10.0.0.1': '10.0.0.1' has no prefix length")
