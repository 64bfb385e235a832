"""When it is written and when it is read. Looks come a hundred times as often as in life."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flow.xds.machine import until
from tests.unit.xds.transcript import CDS, LDS, takes, update, wants
from vmagent._pb import wire_pb2 as wire
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.xds.hub import Hub
from vmagent.xds.lastgood import part
from vmagent.xds.lastgood.disk import Disk
from vmagent.xds.lastgood.part import LastGood, LastGoodConfig
from vmagent.xds.messages import Give, Update
from vmagent.xds.outbox import Outbox

LOOK = 0.01
NOBODY = wire.Node()


def credential(*, left: float) -> Credential:
    now = SystemClock().now()
    return Credential(
        spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
        key_pem=b"",
        chain_pem=b"",
        root_pem=b"",
        not_before=now - 60,
        not_after=now + left,
    )


class Later(SystemClock):
    """By so many seconds."""

    by = 0.0

    def now(self) -> float:
        return super().now() + self.by


class Life:
    """One run: control plane, Envoy and the part between one hub."""

    def __init__(self, directory: Path, **changes: object) -> None:
        self.hub = Hub(name_tables=False)
        self.credentials: Latest[Credential] = Latest()
        config = LastGoodConfig(directory=directory, **changes)  # type: ignore[arg-type]
        self.clock = Later()
        self.part = LastGood(config, self.hub, self.credentials, clock=self.clock, every=LOOK)
        self.disk = Disk(directory, {})
        self.control_plane: Outbox | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Life"]:
        async with Tasks() as tasks:
            task = tasks.start("last-known-good", self.part.run())
            yield self
            task.cancel()

    async def said(self, *updates: Update) -> None:
        """The control plane says it, and an Envoy accepts it."""
        if self.control_plane is None:
            self.control_plane = self.hub.open_upstream(delta=True)
            self.envoy = self.hub.open_envoy(delta=True)
            for url in (CDS, LDS):
                self.hub.from_envoy(self.envoy, wants(url), NOBODY)
        for each in updates:
            self.hub.from_upstream(self.control_plane, each)
        while len(self.envoy):
            give = await self.envoy.get()
            assert isinstance(give, Give)
            self.hub.from_envoy(self.envoy, takes(give.type_url, give.nonce), NOBODY)


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "PATIENCE", 0.05)


async def some_looks() -> None:
    for _ in range(20):
        await asyncio.sleep(LOOK)


async def test_what_was_accepted_is_on_disk_without_a_stop(tmp_path: Path) -> None:
    async with Life(tmp_path).running() as life:
        await life.said(update(CDS, "a", {"web": "w@1"}), update(LDS, "b"))
        await until(life.disk.path.exists)
        await life.said(update(CDS, "c", {"web": "w@2"}))
        await until(lambda: _version(life.disk) == "2")


def _version(disk: Disk) -> str:
    found = disk.load()
    assert found is not None
    return found.kept.sections[0].pieces["web"].version


async def test_nothing_is_written_where_nothing_has_changed(tmp_path: Path) -> None:
    async with Life(tmp_path).running() as life:
        await life.said(update(CDS, "a", {"web": "w@1"}), update(LDS, "b"))
        await until(life.disk.path.exists)
        before = life.disk.path.stat().st_ino
        await life.said(update(CDS, "c", {"web": "w@1"}))
        await some_looks()
        assert life.disk.path.stat().st_ino == before


async def test_a_change_that_never_ends_is_written_at_a_bounded_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "SLOWEST", 0.001)
    async with Life(tmp_path).running() as life:
        await life.said(update(CDS, "a", {"web": "w@1"}), update(LDS, "b"))
        await until(life.disk.path.exists)
        before = life.disk.path.stat().st_ino
        await life.said(update(CDS, "c", {"web": "w@2"}))
        await some_looks()
        assert life.disk.path.stat().st_ino == before


async def test_a_stop_writes_what_has_not_been_written_yet(tmp_path: Path) -> None:
    life = Life(tmp_path)
    await life.said(update(CDS, "a", {"web": "w@1"}), update(LDS, "b"))
    await life.part.drain()
    assert _version(life.disk) == "1"


async def kept(directory: Path) -> None:
    life = Life(directory)
    await life.said(update(CDS, "a", {"web": "w@1"}), update(LDS, "b"))
    await life.part.drain()


async def test_a_machine_without_a_control_plane_is_given_it_as_soon_as_that_is_known(tmp_path: Path) -> None:
    await kept(tmp_path)
    async with Life(tmp_path).running() as life:
        life.part.missed()
        await some_looks()
        assert life.hub.complete.value is None, "nobody knows yet who we are"
        life.credentials.publish(credential(left=60))
        await asyncio.sleep(0)
        life.part.missed()
        await until(lambda: life.hub.complete.value)
        assert life.part.age is not None
        assert life.part.age < 60


async def test_one_that_says_nothing_is_not_waited_for_for_long(tmp_path: Path, short_patience: None) -> None:
    await kept(tmp_path)
    async with Life(tmp_path).running() as life:
        life.hub.open_upstream(delta=True)
        life.credentials.publish(credential(left=60))
        await until(lambda: life.hub.complete.value)


async def test_one_that_goes_after_its_first_answer_is_helped_out_each_time(
    tmp_path: Path, short_patience: None
) -> None:
    await kept(tmp_path)
    aged(tmp_path, 600)
    async with Life(tmp_path).running() as life:
        life.credentials.publish(credential(left=60))
        await asyncio.sleep(0)
        for nonce in ("c", "d"):
            stream = life.hub.open_upstream(delta=True)
            life.hub.from_upstream(stream, update(CDS, nonce, {"web": "w@2"}))
            life.hub.close_upstream(stream)
            life.part.missed()
            await until(lambda: life.hub.complete.value)
        assert life.part.age is not None
        assert life.part.age >= 600
        assert life.hub.restored, "of listeners it has not said anything"


async def test_what_it_did_not_say_to_the_end_does_not_make_what_was_kept_newer(
    tmp_path: Path, short_patience: None
) -> None:
    await kept(tmp_path)
    aged(tmp_path, 600)
    before = Disk(tmp_path, {}).path.stat()
    async with Life(tmp_path).running() as life:
        life.credentials.publish(credential(left=60))
        await asyncio.sleep(0)
        stream = life.hub.open_upstream(delta=True)
        life.hub.from_upstream(stream, update(CDS, "c", {"web": "w@2"}))
        life.hub.close_upstream(stream)
        life.part.missed()
        await until(lambda: life.hub.restored)
        await life.said()
        life.hub.close_upstream(life.control_plane or stream)
        await until(lambda: life.disk.path.stat().st_ino != before.st_ino)
        await some_looks()
    assert life.disk.path.stat().st_mtime == before.st_mtime
    assert _version(life.disk) == "2", "what it said is kept"


async def test_once_envoy_has_started_nothing_is_put_back_any_more(tmp_path: Path) -> None:
    await kept(tmp_path)
    async with Life(tmp_path).running() as life:
        life.credentials.publish(credential(left=60))
        await life.said(update(CDS, "c", {"web": "w@2"}), update(LDS, "d"))
        assert life.hub.settled
        for _ in range(3):
            life.part.missed()
            await some_looks()
        assert not life.hub.restored


def aged(directory: Path, seconds: float) -> None:
    path = Disk(directory, {}).path
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


async def test_an_expired_certificate_gives_nothing(tmp_path: Path) -> None:
    await kept(tmp_path)
    async with Life(tmp_path).running() as life:
        life.credentials.publish(credential(left=-1))
        for _ in range(3):
            life.part.missed()
            await some_looks()
        assert life.hub.complete.value is None
        life.credentials.publish(credential(left=60))
        await asyncio.sleep(0)
        life.part.missed()
        await until(lambda: life.hub.complete.value)


async def test_a_disk_that_takes_nothing_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "AGAIN", 0.05)
    directory = tmp_path / "later"
    async with Life(directory).running() as life:
        await life.said(update(CDS, "a", {"web": "w@1"}), update(LDS, "b"))
        await until(lambda: "cannot be kept: No such file or directory" in caplog.text)
        await life.said(update(CDS, "c", {"web": "w@2"}))
        await some_looks()
        assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
        directory.mkdir()
        await until(life.disk.path.exists)


async def test_where_nothing_is_to_be_kept_what_was_kept_goes(tmp_path: Path) -> None:
    await kept(tmp_path)
    async with Life(tmp_path, enabled=False).running() as life:
        await until(lambda: not life.disk.path.exists())
        await life.said(update(CDS, "a", {"web": "w@1"}), update(LDS, "b"))
        await life.part.drain()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 minutes old"), (61, "1 minute old"), (7199, "119 minutes old"), (7200, "2 hours old")],
)
def test_an_age_reads_as_a_person_says_it(seconds: float, text: str) -> None:
    assert part.said(seconds) == text


async def test_an_age_that_passes_its_limit_while_it_is_served_is_told_once_and_takes_nothing_away(
    tmp_path: Path, short_patience: None, caplog: pytest.LogCaptureFixture
) -> None:
    await kept(tmp_path)
    async with Life(tmp_path, max_age=3600.0).running() as life:
        life.credentials.publish(credential(left=60))
        life.part.missed()
        await until(lambda: life.hub.restored)
        assert life.part.told == "serving last known good, 0 minutes old"
        with caplog.at_level(logging.WARNING, logger="xdsproxy"):
            life.clock.by = 7200.0
            await until(lambda: "the control plane is still away" in caplog.text)
            await some_looks()
        assert life.part.told == (
            "serving last known good, 2 hours old; VMAGENT_LAST_KNOWN_GOOD_MAX_AGE allows 3600 s:"
            " the next start would not use it"
        )
        assert caplog.text.count("still away") == 1
        assert life.hub.restored
