import os
import stat
import subprocess
from pathlib import Path

import pytest

from vmagent.identity import store
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime import files

VM = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")


def credential(mark: str) -> Credential:
    key, chain, root = (f"{what} {mark}\n".encode() for what in ("key", "chain", "root"))
    return Credential(spiffe=VM, key_pem=key, chain_pem=chain, root_pem=root, not_before=0.0, not_after=1.0)


def content(found: store.Stored) -> tuple[bytes, bytes, bytes]:
    return found.key, found.chain, found.root


def test_what_was_saved_is_loaded_and_private(tmp_path: Path) -> None:
    directory = tmp_path / "certs"
    store.save(directory, credential("a"))
    [found] = store.load(directory)
    assert content(found) == (b"key a\n", b"chain a\n", b"root a\n")
    assert not found.unfinished
    assert sorted(path.name for path in directory.iterdir()) == [
        "cert-chain.pem", "key.pem", "root-cert.pem", "written-by-istio-agent",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_first_start_with_only_a_root_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "root-cert.pem").write_text("root")
    assert store.load(tmp_path) == []
    assert store.load(tmp_path / "absent") == []


def test_a_root_that_did_not_change_is_not_touched(tmp_path: Path) -> None:
    root = tmp_path / "root-cert.pem"
    root.write_bytes(b"root a\n")
    before = root.stat()
    store.save(tmp_path, credential("a"))
    assert root.stat().st_ino == before.st_ino


@pytest.mark.parametrize("survived", range(5))
def test_a_crash_at_any_step_leaves_a_whole_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """``survived`` files were written before the power went."""
    store.save(tmp_path, credential("old"))
    steps = iter(range(survived))
    write = files.write

    def failing(path: Path, data: bytes, *, mode: int) -> None:
        if next(steps, None) is None:
            raise OSError("power cut")
        write(path, data, mode=mode)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write", failing)
        patched.setattr(files, "remove", lambda path: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            store.save(tmp_path, credential("new"))
    newest = store.load(tmp_path)[0]
    expected = "new" if survived else "old"
    assert content(newest)[:2] == (f"key {expected}\n".encode(), f"chain {expected}\n".encode())
    assert newest.unfinished is bool(survived)


def ours(directory: Path) -> list[str]:
    """The files that purge would find to be ours."""
    done = subprocess.run(
        ["sha256sum", "--check", store.WRITTEN], cwd=directory, capture_output=True, text=True, check=False
    )
    return sorted({line.removesuffix(": OK") for line in done.stdout.splitlines() if line.endswith(": OK")})


@pytest.mark.effects
def test_what_we_wrote_is_known_again_also_when_it_is_just_being_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mark in ("a", "b", "c"):
        store.save(tmp_path, credential(mark))
        assert ours(tmp_path) == ["cert-chain.pem", "key.pem"]
    write = files.write

    def failing(path: Path, data: bytes, *, mode: int) -> None:
        if path.name == store.CHAIN:
            raise OSError("power cut")
        write(path, data, mode=mode)

    monkeypatch.setattr(files, "write", failing)
    for _ in range(3):
        with pytest.raises(OSError, match="power cut"):
            store.save(tmp_path, credential("d"))
        assert content(store.load(tmp_path)[1])[:2] == (b"key d\n", b"chain c\n")
        assert ours(tmp_path) == ["cert-chain.pem", "key.pem"]


@pytest.mark.effects
def test_what_somebody_else_put_there_is_not_taken_for_ours(tmp_path: Path) -> None:
    store.save(tmp_path, credential("a"))
    (tmp_path / store.KEY).write_text("an operator's")
    assert ours(tmp_path) == ["cert-chain.pem"]


def test_half_of_a_journal_is_ignored(tmp_path: Path) -> None:
    store.save(tmp_path, credential("a"))
    (tmp_path / ".credential.next").write_bytes(b"key b")
    [found] = store.load(tmp_path)
    assert found.key == b"key a\n"


def test_the_time_of_receipt_is_when_the_chain_was_written(tmp_path: Path) -> None:
    store.save(tmp_path, credential("a"))
    os.utime(tmp_path / "cert-chain.pem", (1000, 1000))
    assert store.load(tmp_path)[0].received == 1000
