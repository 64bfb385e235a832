"""How certificates in files are read: each way in which that fails is a sentence with file and remedy."""

import os
from pathlib import Path

import pytest

from vmagent.errors import Misconfigured
from vmagent.identity import certfiles
from vmagent.identity.certsource import PairFiles, RootFile


def test_files_are_read_in_the_order_chain_key(tmp_path: Path) -> None:
    source = PairFiles(tmp_path / "c", tmp_path / "k")
    source.chain.write_bytes(b"chain")
    source.key.write_bytes(b"key")
    assert certfiles.read(source) == (b"chain", b"key")
    assert str(source) == f"{tmp_path}/c with {tmp_path}/k"


def test_secrets_that_kubernetes_mounts_are_links_and_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"root")
    (tmp_path / "root.pem").symlink_to("real")
    assert certfiles.read(RootFile(tmp_path / "root.pem")) == (b"root",)


def missing(path: Path) -> None:
    """Nothing is there."""


def empty(path: Path) -> None:
    path.write_bytes(b"\n")


def directory(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def huge(path: Path) -> None:
    path.write_bytes(b"x" * (certfiles.LARGEST + 1))


@pytest.mark.parametrize(
    ("put", "says"),
    [
        (missing, "does not exist"),
        (empty, "is empty"),
        (directory, "cannot be read: a directory"),
        (device, "cannot be read: not a regular file"),
        (fifo, "cannot be read: not a regular file"),
        (huge, "cannot be read: larger than 524288 bytes"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_in_the_way_is_named_with_the_file(tmp_path: Path, put: object, says: str) -> None:
    path = tmp_path / "root.pem"
    put(path)  # type: ignore[operator]  # one of the functions above
    with pytest.raises(Misconfigured) as refused:
        certfiles.read(RootFile(path))
    assert str(refused.value) == f"{path} {says}"
    assert refused.value.hint


def test_a_file_that_the_agent_may_not_read_is_named_with_the_commands_that_let_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr("vmagent.runtime.files.read_small", refuse)
    with pytest.raises(Misconfigured) as refused:
        certfiles.read(RootFile(tmp_path / "a b.pem"))
    assert str(refused.value) == f"{tmp_path}/a b.pem cannot be read: permission denied"
    quoted = f"'{tmp_path}/a b.pem'"
    assert refused.value.hint.startswith(f"chgrp istio-proxy {quoted} && chmod g+r {quoted}")
