"""Three machines, made by the scripts that Vagrant runs; and what their authors cannot see from here."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo.names import VM_ANSWER
from lab.demo.stage import Stage
from lab.hosts.lab import Lab
from lab.hosts.machine import provision
from tests.conftest import ROOT
from tests.system import operator

NAME = "provisioned"


def lab_command(*words: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".venv" / "bin" / "lab"), "--name", NAME, *words]
    return subprocess.run(command, input=input, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def stage(package: Path) -> Iterator[Stage]:
    lab_command("down")
    done = lab_command("up", "--machines", "--package", str(package))
    try:
        assert done.returncode == 0, done.stderr
        yield Stage(Lab(NAME), lambda kind, line: print(line))
    finally:
        lab_command("down")


def test_the_control_plane_serves_and_both_machines_have_the_package(stage: Stage) -> None:
    assert "istio-demo" in stage.mesh("get namespaces")
    for name in ("vm", "client"):
        assert stage.lab.machine(name).run(["vmagent", "--version"]).stdout.startswith("vmagent, version")
    assert stage.quietly("docker", "curl -s 192.168.0.204").strip() == VM_ANSWER


def test_the_scripts_can_be_run_again(stage: Stage, package: Path) -> None:
    provision.provision(stage.lab, package)


def test_the_commands_of_the_page_on_the_lab_join_both(stage: Stage) -> None:
    text = (ROOT / "docs" / "lab.md").read_text()
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (joining,) = [block for block in blocks if "systemctl start istio" in block]
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", joining],
        cwd=ROOT,
        env={**os.environ, "LAB_NAME": NAME},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{VM_ANSWER}\n")
    operator.until_answered(stage)


def test_the_words_of_the_lab_work_on_machines(stage: Stage) -> None:
    status = lab_command("status")
    assert status.returncode == 0
    assert "vm       192.168.0.204  systemd running: " in status.stdout
    assert lab_command("exec", "vm", "--", "systemctl", "is-active", "istio-agent").stdout == "active\n"
    assert "Envoy is ready" in lab_command("logs", "vm").stdout
    assert "serving" in lab_command("logs", "istiod").stdout
    assert lab_command("shell", "vm", input="hostname; pwd\n").stdout == "vm204\n/root\n"


def vagrant(tmp_path: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Nothing of it stays, neither in the clone nor at home."""
    places = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_DOTFILE_PATH": str(tmp_path / "state")}
    return subprocess.run(
        ["vagrant", *words],
        cwd=ROOT,
        env={**os.environ, **places, "VAGRANT_CHECKPOINT_DISABLE": "1", **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_vagrant_finds_nothing_wrong_with_the_machines_it_was_told(tmp_path: Path) -> None:
    for words in (["validate"], ["validate", "--ignore-provider"]):
        done = vagrant(tmp_path, *words, VAGRANT_DEFAULT_PROVIDER="libvirt")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Vagrantfile validated successfully." in done.stdout
    assert set(re.findall(r"==> (\w+): Ignoring provider", done.stdout)) == provision.TREES.keys()


def test_the_vagrantfile_names_the_addresses_and_scripts_of_the_lab() -> None:
    text = (ROOT / "Vagrantfile").read_text()
    lab = Lab(NAME)
    for name, script in provision.SCRIPTS.items():
        host = lab.host(name)
        wanted = f'name: "{name}", hostname: "{host.hostname}", address: "{host.address}"'
        line = next(line for line in text.splitlines() if wanted in line)
        assert f'script: "{script}"' in line
        assert (ROOT / "lab" / "provision" / script).is_file()


def shell_scripts() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in files if path.is_file() and first_line(path).endswith(("/bash", "/sh"))]


def first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline(80).decode(errors="replace").strip()


def test_shellcheck_finds_nothing_wrong_with_any_script() -> None:
    scripts = shell_scripts()
    assert {path.name for path in scripts} >= {*provision.SCRIPTS.values(), "setup.sh", "test.sh", "build.sh"}
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
