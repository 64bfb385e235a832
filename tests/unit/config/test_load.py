"""Files on disk: what is read, what is waited for, what must be edited."""

import dataclasses
import os
from pathlib import Path

import pytest

from vmagent.config import load as loading
from vmagent.config.load import Loaded, Missing, capture_inputs, load
from vmagent.config.resolve import Paths
from vmagent.errors import Misconfigured

from . import vm
from .test_pem import WHOLE


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A VM whose files are all in place."""
    paths = Paths(
        cluster_env=tmp_path / "cluster.env",
        sidecar_env=tmp_path / "sidecar.env",
        agent_env=tmp_path / "agent.env",
        mesh=tmp_path / "mesh",
        base=tmp_path,
    )
    paths.cluster_env.write_text(vm.CLUSTER_ENV)
    paths.mesh.write_text(vm.MESH)
    root(paths).parent.mkdir(parents=True)
    root(paths).write_bytes(WHOLE)
    return paths


def root(paths: Paths) -> Path:
    return paths.base / "etc/certs/root-cert.pem"


def read(paths: Paths) -> Loaded:
    return load(paths, {}, vm.HOST)


def test_a_vm_whose_files_are_in_place_is_configured(paths: Paths) -> None:
    found = read(paths)
    assert found.config.workload.service_account == "vm"
    assert found.config.control_plane.xds.root_cert == root(paths)
    assert found.config.credentials.token == paths.base / "var/run/secrets/tokens/istio-token"
    assert (found.unknown, found.notes) == ((), ())


@pytest.mark.parametrize("name", ["cluster.env", "etc/certs/root-cert.pem"])
def test_a_file_that_is_missing_is_named_and_waited_for(paths: Paths, name: str) -> None:
    (paths.base / name).unlink()
    with pytest.raises(Missing) as missing:
        read(paths)
    assert missing.value.paths == (paths.base / name,)
    assert str(missing.value) == f"waiting for {paths.base / name} (no such file)"
    assert missing.value.hint


@pytest.mark.parametrize("name", ["sidecar.env", "agent.env", "mesh"])
def test_files_that_an_operator_may_leave_out_are_not_waited_for(paths: Paths, name: str) -> None:
    (paths.base / name).unlink(missing_ok=True)
    read(paths)


@pytest.mark.parametrize("name", ["cluster.env", "etc/certs/root-cert.pem"])
def test_an_empty_file_is_one_that_is_being_copied(paths: Paths, name: str) -> None:
    (paths.base / name).write_text("\n")
    with pytest.raises(Missing) as missing:
        read(paths)
    assert str(missing.value) == f"waiting for {paths.base / name} (empty)"


def test_sidecar_env_alone_will_do(paths: Paths) -> None:
    paths.cluster_env.rename(paths.sidecar_env)
    assert read(paths).config.workload.group == "nginx"


def test_the_root_of_a_ca_that_nobody_asks_is_not_waited_for(paths: Paths) -> None:
    with paths.cluster_env.open("a") as file:
        file.write("FILE_MOUNTED_CERTS=true\nCA_ROOT_CA=/nowhere.pem\n")
    assert read(paths).config.credentials.mounted


def test_what_a_pods_files_say_is_read_below_the_base(paths: Paths) -> None:
    pod = paths.base / "etc/istio/pod"
    pod.mkdir(parents=True)
    (pod / "labels").write_text('team="web"\n')
    (pod / "annotations").write_text('note="n"\n')
    found = read(paths).config
    assert found.workload.labels["team"] == "web"
    assert found.node.metadata["ANNOTATIONS"] == {"note": "n"}
    (pod / "labels").chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(Missing, match="not readable"):
            read(paths)


def test_all_that_is_missing_is_named_at_once(paths: Paths) -> None:
    paths.cluster_env.unlink()
    root(paths).unlink()
    with pytest.raises(Missing) as missing:
        read(paths)
    assert missing.value.paths == (paths.cluster_env, root(paths))


def test_a_directory_in_a_files_place_is_waited_out(paths: Paths) -> None:
    paths.mesh.unlink()
    paths.mesh.mkdir()
    with pytest.raises(Missing, match="a directory where a file should be"):
        read(paths)


def test_a_file_that_may_not_be_read_is_named_with_the_remedy(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.open

    def refuse(path: Path, flags: int) -> int:
        if path == paths.cluster_env:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, flags)

    monkeypatch.setattr(os, "open", refuse)  # the tests may run as root, whom nothing is refused
    with pytest.raises(Missing, match="not readable; chown istio-proxy"):
        read(paths)


@pytest.mark.parametrize("name", ["cluster.env", "sidecar.env", "agent.env", "mesh"])
def test_root_follows_no_link_out_of_a_directory_that_is_not_its_own(
    paths: Paths, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = paths.base / "shadow"
    secret.write_text("root:hunter2:19000\n")
    (paths.base / name).unlink(missing_ok=True)
    (paths.base / name).symlink_to(secret)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for look in (lambda: read(paths), lambda: capture_inputs(paths, {})):
        with pytest.raises(Missing, match=rf"/{name} \(a symbolic link, not followed here\)") as missing:
            look()
        assert "hunter2" not in str(missing.value)


def test_root_finds_the_files_behind_a_link_to_their_directory(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/etc/istio is one."""
    (tmp_path / "etc" / "istio").symlink_to(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    mesh = dataclasses.replace(paths, mesh=tmp_path / "etc" / "istio" / "mesh")
    assert read(mesh).config.workload.service_account == "vm"


def test_the_agents_user_may_have_its_files_elsewhere(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    paths.mesh.rename(paths.base / "elsewhere")
    paths.mesh.symlink_to("elsewhere")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    read(paths)


def test_a_root_certificate_may_be_a_link_into_the_systems_store(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    root(paths).rename(paths.base / "store.pem")
    root(paths).symlink_to(paths.base / "store.pem")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    read(paths)


@pytest.mark.parametrize("name", ["cluster.env", "mesh", "etc/certs/root-cert.pem"])
def test_what_never_ends_or_never_begins_is_not_read(
    paths: Paths, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = paths.base / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Missing, match="not a regular file"):
        read(paths)
    path.unlink()
    path.symlink_to("/dev/zero")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Missing, match="not a regular file"):
        read(paths)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(loading.LARGEST + 1)
    with pytest.raises(Missing, match="larger than 4194304 bytes"):
        read(paths)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        (
            "cluster.env",
            b"SERVICE_ACCOUNT='vm\n",
            "cluster.env:1: SERVICE_ACCOUNT=\"'vm\": the quote ' is never closed",
        ),
        (
            "cluster.env",
            b"SERVICE_ACCOUNT = vm\n",
            "cluster.env:1: spaces around =; write KEY=VALUE without spaces",
        ),
        (
            "cluster.env",
            b"SERVICE_ACCOUNT='vm'\r\n",
            "cluster.env:1: SERVICE_ACCOUNT: Windows line end; sed -i",
        ),
        (
            "sidecar.env",
            b"ISTIO_SERVICE_CIDR=$(ip route)\n",
            "sidecar.env:1: ISTIO_SERVICE_CIDR='$(ip route)'",
        ),
        ("agent.env", b"VMAGENT_LOG_LEVEL=loud\n", "agent.env:1: VMAGENT_LOG_LEVEL='loud'"),
        (
            "mesh",
            b"defaultConfig:\n  statusPort: x\n",
            "mesh:2: defaultConfig.statusPort='x': expected a whole",
        ),
        ("mesh", b"defaultConfig:\n\tstatusPort: 1\n", "mesh:2: statusPort='1': a tab in the indentation"),
        ("mesh", b"defaultConfig: [\n", "not YAML"),
        ("etc/certs/root-cert.pem", WHOLE[:-30], "root-cert.pem:1: certificate 1 has no end; copy"),
        ("etc/certs/root-cert.pem", b"secret", "root-cert.pem:1: holds no PEM certificate; copy"),
    ],
)
def test_a_wrong_file_gives_one_clear_line(paths: Paths, name: str, data: bytes, says: str) -> None:
    (paths.base / name).write_bytes(data)
    with pytest.raises(Misconfigured) as wrong:
        read(paths)
    line = str(wrong.value)
    assert line.startswith(str(paths.base / name))
    assert says in line
    assert "\n" not in line


def test_several_problems_are_several_lines(paths: Paths) -> None:
    paths.cluster_env.write_text(vm.CLUSTER_ENV + "SECRET_TTL=x\n")
    root(paths).write_bytes(b"x")
    with pytest.raises(Misconfigured) as wrong:
        read(paths)
    head, *lines = str(wrong.value).splitlines()
    assert head == "2 things are wrong with the configuration:"
    assert [line.split(":")[0].strip() for line in lines] == [str(paths.cluster_env), str(root(paths))]


def test_what_must_be_edited_is_told_before_what_is_missing(paths: Paths) -> None:
    paths.mesh.write_text("defaultConfig: [\n")
    root(paths).unlink()
    with pytest.raises(Misconfigured):
        read(paths)


def test_capture_needs_neither_root_nor_address(paths: Paths) -> None:
    root(paths).unlink()
    found = capture_inputs(paths, {"ISTIO_CUSTOM_IP_TABLES": "false"})
    assert found.values["ISTIO_INBOUND_PORTS"].text == "*"
    assert found.values["ISTIO_META_DNS_CAPTURE"].text == "true"
    assert found.values["ISTIO_CUSTOM_IP_TABLES"].text == "false"
    paths.cluster_env.write_text("ISTIO_META_DNS_CAPTURE=maybe\nSERVICE_ACCOUNT=vm\n")
    with pytest.raises(Misconfigured):
        capture_inputs(paths, {})
    paths.cluster_env.unlink()
    with pytest.raises(Missing):
        capture_inputs(paths, {})


def test_with_the_systems_trust_store_no_root_file_is_needed(paths: Paths) -> None:
    root(paths).unlink()
    paths.sidecar_env.write_text("XDS_ROOT_CA=SYSTEM\nCA_ROOT_CA=SYSTEM\n")
    assert read(paths).config.control_plane.xds.root_cert is None
