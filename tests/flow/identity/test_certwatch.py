"""Certificates in files on a real disk, judged by the real child: what is taken up, and what is told."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.flow.xds.machine import until
from vmagent.errors import Refused
from vmagent.identity import certwatch
from vmagent.identity.certfiles import Bundle, Pair
from vmagent.identity.certsource import PairFiles, RootFile
from vmagent.identity.certwatch import FRESH, POLL, CertWatch, Found
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks

MENDED = 2.0
"""Seconds from a repair to its use, as for all files."""


class Files:
    """A pair and a root below one directory."""

    def __init__(self, folder: Path) -> None:
        self.pair = PairFiles(folder / "chain.pem", folder / "key.pem")
        self.root = RootFile(folder / "root.pem")
        self.authority = Authority()

    def issue(self, *, life: float = 3600.0) -> tuple[bytes, bytes]:
        """A new key and its chain."""
        key, chain = self.authority.server(life=life)
        return chain, key

    def write(self, *, life: float = 3600.0) -> bytes:
        """Both halves, one after the other. Returns the chain."""
        chain, key = self.issue(life=life)
        self.pair.chain.write_bytes(chain)
        self.pair.key.write_bytes(key)
        return chain


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@contextlib.asynccontextmanager
async def watching(*sources: PairFiles | RootFile) -> AsyncIterator[CertWatch]:
    watch = CertWatch(clock=SystemClock())
    async with Tasks() as tasks:
        running = tasks.start("files", watch.run())
        for source in sources:
            watch.want(source)
        yield watch
        running.cancel()


async def told(watch: CertWatch, source: PairFiles | RootFile, words: str = "") -> Found:
    await until(lambda: watch.found(source).looked and words in watch.found(source).problem)
    return watch.found(source)


def chain_of(found: Found) -> bytes:
    assert isinstance(found.content, Pair)
    return found.content.pair.chain_pem


async def test_a_pair_and_a_root_are_taken_up_soon_after_somebody_wants_them(files: Files) -> None:
    chain = files.write()
    files.root.root.write_bytes(files.authority.root_pem)
    async with watching(files.pair, files.root) as watch:
        found, root = await told(watch, files.pair), await told(watch, files.root)
        assert chain_of(found) == chain
        assert isinstance(root.content, Bundle)
        assert root.content.pem == files.authority.root_pem
        assert (found.problem, root.problem, watch.failures) == ("", "", 0)


async def test_a_new_pair_takes_the_place_of_the_old_one_only_when_both_halves_are_there(
    files: Files,
) -> None:
    files.write()
    async with watching(files.pair) as watch:
        seen = [chain_of(await told(watch, files.pair))]
        chain, key = files.issue()
        files.pair.chain.write_bytes(chain)
        await asyncio.sleep(3 * POLL)
        assert chain_of(watch.found(files.pair)) == seen[0]
        assert watch.found(files.pair).problem == ""
        files.pair.key.write_bytes(key)
        began = time.monotonic()
        await until(lambda: chain_of(watch.found(files.pair)) == chain)
        assert time.monotonic() - began < MENDED
        assert watch.failures == 0


async def test_halves_that_stay_apart_are_told_and_what_was_good_stays_in_use(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    chain = files.write()
    async with watching(files.pair) as watch:
        await told(watch, files.pair)
        files.pair.key.write_bytes(files.issue()[1])
        found = await told(watch, files.pair, "does not belong to the certificate in")
        assert chain_of(found) == chain
        assert str(files.pair.key) in found.problem
        assert str(files.pair.chain) in found.problem
        again = files.write()
        await until(lambda: watch.found(files.pair).problem == "")
        assert chain_of(watch.found(files.pair)) == again
    assert [r.levelno for r in caplog.records if "does not belong" in r.message] == [logging.WARNING]
    assert "what was there before is used on" in caplog.text
    assert "PRIVATE" not in caplog.text


def absent(files: Files) -> None:
    files.pair.key.unlink()


def damaged(files: Files) -> None:
    files.pair.key.write_bytes(b"-----BEGIN EC PRIVATE KEY-----\n")


def emptied(files: Files) -> None:
    files.pair.chain.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(absent, "key.pem does not exist"), (damaged, "key.pem is damaged"), (emptied, "chain.pem is empty")],
    ids=["absent", "damaged", "emptied"],
)
async def test_files_that_are_wrong_from_the_start_are_named_and_mended_ones_are_used(
    files: Files, spoil: Callable[[Files], None], words: str
) -> None:
    files.write()
    spoil(files)
    async with watching(files.pair) as watch:
        found = await told(watch, files.pair, words)
        assert found.content is None
        await asyncio.sleep(FRESH + POLL)  # it is a mess for a while
        assert watch.found(files.pair) == found
        chain, began = files.write(), time.monotonic()
        await until(lambda: watch.found(files.pair).content is not None)
        assert time.monotonic() - began < MENDED
        assert chain_of(watch.found(files.pair)) == chain


async def test_files_that_need_not_be_there_are_no_trouble_until_one_of_them_is(files: Files) -> None:
    async with watching() as watch:
        watch.want(files.pair, optional=True)
        assert await told(watch, files.pair) == Found()
        files.pair.chain.write_bytes(files.issue()[0])
        await told(watch, files.pair, "key.pem does not exist")


async def test_an_expired_certificate_is_used_on_and_told(files: Files) -> None:
    chain = files.write(life=1.0)
    async with watching(files.pair) as watch:
        found = await told(watch, files.pair, "expired at")
        assert chain_of(found) == chain
        assert "put a new one there" in found.problem
        files.write()
        await until(lambda: watch.found(files.pair).problem == "")


async def test_a_secret_that_kubernetes_publishes_anew_is_followed_through_its_links(
    files: Files, tmp_path: Path
) -> None:
    """``..data`` is a link to a directory, and is replaced as a whole."""

    def publish(name: str) -> bytes:
        (tmp_path / name).mkdir()
        chain, key = files.issue()
        (tmp_path / name / "tls.crt").write_bytes(chain)
        (tmp_path / name / "tls.key").write_bytes(key)
        (tmp_path / "..new").symlink_to(name)
        os.replace(tmp_path / "..new", tmp_path / "..data")
        return chain

    first = publish("..1")
    source = PairFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    for path in source.paths:
        path.symlink_to(f"..data/{path.name}")
    async with watching(source) as watch:
        assert chain_of(await told(watch, source)) == first
        second = publish("..2")
        await until(lambda: chain_of(watch.found(source)) == second)
        assert watch.failures == 0


async def test_a_change_that_cannot_be_seen_in_the_times_of_a_file_is_not_missed(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size and inode may be as before, and a kernel's clock ticks every 4 ms."""
    monkeypatch.setattr("vmagent.identity.filewatch.look", lambda paths: ("the same",))
    files.root.root.write_bytes(files.authority.root_pem)
    other = Authority("other").root_pem
    async with watching(files.root) as watch:
        await told(watch, files.root)
        files.root.root.write_bytes(other)
        await until(lambda: watch.found(files.root).content == Bundle(pem=other, dropped=0))


async def test_what_nobody_wants_any_more_is_forgotten_and_not_looked_at(files: Files) -> None:
    files.write()
    async with watching(files.pair, files.pair) as watch:
        await told(watch, files.pair)
        watch.release(files.pair)
        assert watch.found(files.pair).looked
        watch.release(files.pair)
        assert not watch.found(files.pair).looked
        files.pair.key.unlink()
        await asyncio.sleep(2 * POLL)
        assert watch.failures == 0


async def test_there_is_a_limit_to_what_can_be_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certwatch, "MOST", 2)
    watch = CertWatch(clock=SystemClock())
    for number in range(2):
        watch.want(RootFile(tmp_path / str(number)))
    watch.want(RootFile(tmp_path / "0"))  # known already
    with pytest.raises(Refused, match="2 certificate files are in use already"):
        watch.want(RootFile(tmp_path / "2"))


async def test_a_child_that_cannot_be_started_is_tried_again_and_nothing_is_taken_unseen(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certwatch, "SIGNER_AGAIN", 0.5)
    monkeypatch.setattr("vmagent.identity.keys._COMMAND", ("-c", "raise SystemExit(3)"))
    files.write()
    async with watching(files.pair) as watch:
        found = await told(watch, files.pair, "the signer ended early")
        assert found.content is None
        monkeypatch.undo()
        await until(lambda: watch.found(files.pair).content is not None)
        assert watch.found(files.pair).problem == ""
