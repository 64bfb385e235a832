"""A machine that has no room for one more process or file: trouble that passes, and no end of the agent."""

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.identity.certificate_server import CertificateServer
from tests.flow.identity.conftest import Machine
from vmagent.config import addresses
from vmagent.envoy import launch
from vmagent.envoy.process import ProcessId
from vmagent.errors import Unavailable
from vmagent.identity import keys
from vmagent.identity.certsource import PairFiles
from vmagent.identity.certwatch import CertWatch
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """What is open stays open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_child_for_which_there_is_no_room_is_unavailable() -> None:
    with no_more_files(), pytest.raises(Unavailable, match="signer cannot be started: Too many open files"):
        async with keys.signer():
            pass
    async with keys.signer():
        pass


async def test_a_renewal_without_room_for_a_child_is_tried_again(
    ca: CertificateServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as upgrade:
        upgrade.setattr(sys, "executable", "/nowhere/python3")
        async with machine.running():
            await machine.until_said("the signer cannot be started: No such file or directory")
            upgrade.undo()
            await machine.until_said("open", within=15.0)


async def test_files_are_judged_when_there_is_room_for_a_child_again(
    ca: CertificateServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machine.running():
        await machine.until_renewed()
    monkeypatch.setattr("vmagent.identity.certwatch.SIGNER_AGAIN", 0.2)
    source = PairFiles(machine.certs / "cert-chain.pem", machine.certs / "key.pem")
    watch = CertWatch(clock=SystemClock())
    watch.want(source)
    async with Tasks() as tasks:
        with monkeypatch.context() as upgrade:
            upgrade.setattr(sys, "executable", "/nowhere/python3")
            running = tasks.start("files", watch.run())
            await watch.news.first()
            assert watch.found(source).content is None
            assert "the signer cannot be started" in watch.found(source).problem
        async for _ in watch.news.changes():
            if watch.found(source).content is not None:
                break
        running.cancel()


def test_addresses_that_cannot_be_asked_for_are_unavailable() -> None:
    with no_more_files(), pytest.raises(Unavailable, match="addresses cannot be read: Too many open files"):
        addresses.read(Path("/nowhere"))


async def test_an_envoy_for_which_there_is_no_room_is_unavailable() -> None:
    with no_more_files(), pytest.raises(Unavailable, match="cannot be started: Too many open files"):
        await launch.spawn(["/bin/true"], {}, None, lambda _: None)


def test_a_process_that_cannot_be_looked_at_is_not_taken_for_gone() -> None:
    assert ProcessId.of(1) is not None
    with no_more_files(), pytest.raises(Unavailable, match="process 1 cannot be looked at"):
        ProcessId.of(1)
