"""The unit files: sound for systemd, as closed as docs/systemd.md says, and in step with the code."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.hosts.unit import seconds
from tests.conftest import ROOT
from vmagent.capture import attempt
from vmagent.capture.hold import TAKE_BACK_FOR

pytestmark = pytest.mark.effects

UNITS = ROOT / "systemd"
DOCUMENT = (ROOT / "docs" / "systemd.md").read_text()
GOALS = {"istio-agent.service": 2.0, "istio-capture.service": 4.0}
BOTH = pytest.mark.parametrize("unit", sorted(GOALS))


def systemd_analyze(*argv: str) -> str:
    done = subprocess.run(["systemd-analyze", *argv], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.M)


@BOTH
def test_a_unit_is_sound(tmp_path: Path, unit: str) -> None:
    """On a tree of its own, in which the programs exist. What systemd does not know, it only warns of."""
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for path in UNITS.glob("*.service"):
        shutil.copy(path, tmp_path / "usr/lib/systemd/system")
    (tmp_path / "usr/bin").mkdir()
    for name in ("lib", "bin"):
        (tmp_path / name).symlink_to(f"usr/{name}")
    for name in ("vmagent", "systemctl", "systemd-tmpfiles", "sh"):
        (tmp_path / "usr/bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "usr/bin" / name).chmod(0o755)
    assert systemd_analyze("verify", "--man=no", f"--root={tmp_path}", unit) == ""


@BOTH
def test_a_unit_is_as_closed_as_promised(unit: str) -> None:
    told = systemd_analyze("security", "--offline=true", "--no-pager", str(UNITS / unit))
    figure = re.findall(rf"exposure level for {re.escape(unit)}: ([\d.]+)", told)[0]
    assert float(figure) <= GOALS[unit]
    assert f"**{figure}** for `{unit.removesuffix('.service')}`" in DOCUMENT


@BOTH
def test_every_line_that_is_left_open_has_its_reason(unit: str) -> None:
    lines = json.loads(
        systemd_analyze("security", "--offline=true", "--json=short", "--no-pager", str(UNITS / unit))
    )
    left = {line["name"] for line in lines if line["exposure"] not in (None, "0.0")}
    section = DOCUMENT.partition("\n## Sandbox\n")[2].partition(f"\n| `{unit}` |")[2].partition("\n\n")[0]
    rows = [row.replace("\\|", "\0").split("|")[1] for row in section.splitlines()[2:]]
    explained = {name.replace("\0", "|") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert explained == left


@BOTH
def test_every_promise_of_the_first_tables_stands_in_the_unit(unit: str) -> None:
    """And each key of a unit that is no sandbox stands in its table or in that of the other one."""
    text = (UNITS / unit).read_text()
    before = DOCUMENT.partition("\n## Sandbox\n")[0]
    rows = before.partition(f"\n| `{unit}` | because |")[2].partition("\n\n")[0]
    for promise in re.findall(r"`([A-Z]\w+=[^`…]*)", rows):
        assert promise.strip() in text, promise
    keys = set(re.findall(r"^([A-Z]\w+)=", text.partition("\n\n# What Envoy needs")[0], re.M))
    sandbox = set(re.findall(r"^([A-Z]\w+)=", text[text.index("CapabilityBoundingSet=") :], re.M))
    named = set(re.findall(r"`(\w+)=", before))
    assert keys - sandbox - named - {"Description", "Documentation", "ExecStart", "WantedBy"} == set()


def test_the_name_in_istios_documents_is_an_alias() -> None:
    assert values("istio-agent.service", "Alias") == ["istio.service"]


@BOTH
def test_nothing_at_boot_waits_for_the_network_or_the_mesh(unit: str) -> None:
    waits = " ".join(
        value for key in ("After", "Wants", "Requires", "BindsTo") for value in values(unit, key)
    )
    assert "online" not in waits
    assert values(unit, "Type") == ["notify"]


@BOTH
def test_a_unit_names_manuals_that_are_shipped(unit: str) -> None:
    for page in " ".join(values(unit, "Documentation")).split():
        name, section = re.fullmatch(r"man:(.+)\((\d)\)", page).groups()  # type: ignore[union-attr]
        assert (ROOT / "packaging" / "man" / f"{name}.{section}.in").is_file(), page


def test_the_capture_process_has_time_for_the_longest_thing_that_it_does() -> None:
    unit = "istio-capture.service"
    assert seconds(values(unit, "WatchdogSec")[0]) > attempt.PATIENCE + 30
    assert seconds(values(unit, "TimeoutStopSec")[0]) > TAKE_BACK_FOR + 10


def test_a_stop_does_not_end_the_iptables_that_takes_the_rules_back() -> None:
    assert values("istio-capture.service", "KillMode") == ["mixed"]
