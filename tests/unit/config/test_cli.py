"""``vmagent config`` and ``vmagent entry configure`` as an operator types them, without a network."""

import io
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vmagent.cli.config import config
from vmagent.cli.entry import entry
from vmagent.cli.main import main
from vmagent.errors import Misconfigured

from . import vm
from .test_pem import WHOLE
from .test_workload import GROUP, MESH

pytestmark = pytest.mark.effects
"""The host's own addresses are read."""


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    (tmp_path / "cluster.env").write_text(f"{vm.CLUSTER_ENV}ISTIO_SVC_IP=192.168.0.204\n")
    (tmp_path / "mesh").write_text(vm.MESH)
    (tmp_path / "etc/certs").mkdir(parents=True)
    (tmp_path / "etc/certs/root-cert.pem").write_bytes(WHOLE)
    names = {"cluster-env": "cluster.env", "sidecar-env": "none", "agent-env": "none", "mesh-config": "mesh"}
    return [*(f"--{option}={tmp_path / name}" for option, name in names.items()), f"--base={tmp_path}"]


def run(*words: str) -> Result:
    return CliRunner().invoke(config, list(words))


def test_check_says_who_we_are_when_all_is_sound(options: list[str]) -> None:
    done = run("check", *options)
    assert done.exit_code == 0
    assert "192.168.0.204 as istio-demo/vm in cluster.local" in done.output


def test_a_key_nobody_knows_is_a_warning_and_under_strict_an_error(
    options: list[str], tmp_path: Path
) -> None:
    with (tmp_path / "cluster.env").open("a") as file:
        file.write("SECRET_TLT=1h\n")
    done = run("check", *options)
    assert done.exit_code == 0
    assert (
        f"warning: {tmp_path}/cluster.env:19: SECRET_TLT='1h': no such setting; did you mean SECRET_TTL?"
        in (done.output)
    )
    strict = run("check", "--strict", *options)
    assert isinstance(strict.exception, Misconfigured)
    assert "SECRET_TLT" in str(strict.exception)


def test_show_lists_what_is_set_and_json_everything(options: list[str], tmp_path: Path) -> None:
    assert f"ISTIO_NAMESPACE=istio-demo  # {tmp_path}/cluster.env:12" in run("show", *options).output
    document = json.loads(run("show", "--json", *options).output)
    assert document["workload"]["ips"][0] == "192.168.0.204"


def test_explain_tells_one_key(options: list[str]) -> None:
    assert "statusPort=15020" in run("explain", "statusPort", *options).output


def test_what_the_locale_cannot_write_is_escaped(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "cluster.env").open("a") as file:
        file.write("ISTIO_META_CITY=Łódź\n")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "argv", ["vmagent", "config", "show", *options])
    with pytest.raises(SystemExit) as done:
        main()
    terminal.seek(0)
    assert not done.value.code
    assert "ISTIO_META_CITY=\\u0141ód\\u017a" in terminal.read()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    given = {"workloadgroup.yaml": GROUP, "mesh": MESH, "root.pem": WHOLE.decode(), "token": "aa.bb-c.d_d\n"}
    for name, text in given.items():
        (tmp_path / name).write_text(text)
    return [
        "configure",
        f"--file={tmp_path / 'workloadgroup.yaml'}",
        f"--output={tmp_path / 'vm'}",
        "--clusterID=Kubernetes",
        f"--mesh-config={tmp_path / 'mesh'}",
        f"--root-cert={tmp_path / 'root.pem'}",
        f"--token={tmp_path / 'token'}",
    ]


def test_with_files_given_nobody_is_asked(files: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(entry, [*files, "--ingressIP=192.168.0.59", "--autoregister"])
    assert done.exit_code == 0, done.output
    written = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "vm").iterdir()}
    assert written == {
        "cluster.env": "0o644",
        "hosts": "0o644",
        "istio-token": "0o600",
        "mesh.yaml": "0o644",
        "root-cert.pem": "0o644",
    }
    assert (tmp_path / "vm/istio-token").read_text() == "aa.bb-c.d_d"
    assert "aa.bb" not in done.output
    assert done.output.count("wrote ") == 5


def test_without_an_address_of_istiod_that_is_said(files: list[str]) -> None:
    assert "empty: --ingressIP would name istiod.istio-system.svc" in CliRunner().invoke(entry, files).output


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--ingressIP=istiod", "write an IPv4 or IPv6 address"),
        ("--tokenDuration=5", "5 is not in the range"),
    ],
)
def test_a_bad_option_is_a_usage_error(files: list[str], option: str, says: str) -> None:
    done = CliRunner().invoke(entry, [*files, option])
    assert done.exit_code == 2
    assert says in done.output


def test_internal_and_external_address_exclude_one_another(files: list[str]) -> None:
    done = CliRunner().invoke(entry, [*files, "--internalIP=10.0.0.1", "--externalIP=10.0.0.2"])
    assert "exclude one another" in done.output


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("token", "not a token", "holds no token"),
        ("token", "", "holds no token"),
        ("root.pem", "hello", "holds no PEM certificate"),
        ("mesh", "defaultConfig: [\n", "not YAML"),
        ("workloadgroup.yaml", "kind: Pod\n", "holds 0 WorkloadGroups"),
    ],
)
def test_a_wrong_file_writes_nothing(
    files: list[str], tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text)
    done = CliRunner().invoke(entry, files)
    assert isinstance(done.exception, Misconfigured)
    assert says in str(done.exception)
    assert not (tmp_path / "vm").exists()


def test_a_file_that_is_not_there_is_named(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "mesh").unlink()
    done = CliRunner().invoke(entry, files)
    assert str(done.exception) == f"{tmp_path}/mesh: No such file or directory"


def test_a_directory_that_cannot_be_made_is_named(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "vm").write_text("a file")
    done = CliRunner().invoke(entry, files)
    assert str(done.exception) == f"{tmp_path}/vm: File exists"
