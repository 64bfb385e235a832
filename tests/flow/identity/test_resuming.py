"""A machine that boots where nobody answers, with a certificate on disk that is good, and no token."""

import sys

import pytest

from tests.authority import Authority
from tests.flow.identity.certificate_server import CertificateServer
from tests.flow.identity.conftest import Machine
from tests.flow.xds.machine import until
from vmagent.identity import keys, resuming
from vmagent.identity.credential import Credential
from vmagent.runtime.clock import SystemClock

HOUR = 3600.0
NOTICED = 15.0
"""Seconds. It takes one or two; a busy machine needs longer for the child that judges."""


class Clock(SystemClock):
    """Wrong by so many seconds."""

    wrong = 0.0

    def now(self) -> float:
        return super().now() + self.wrong


async def after_a_power_cut(ca: CertificateServer, machine: Machine) -> tuple[Machine, Clock, Credential]:
    """The certificate was written, the token lay in memory, and the CA is away."""
    async with machine.running():
        held = await machine.until_renewed()
    await ca.stop()
    machine.token.unlink()
    clock = Clock()
    return Machine(machine.config, clock=clock), clock, held


@pytest.mark.parametrize("wrong", [-HOUR, 2 * HOUR], ids=["behind", "ahead"])
async def test_a_certificate_is_used_as_soon_as_a_wrong_clock_is_set_right(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture, wrong: float
) -> None:
    booted, clock, held = await after_a_power_cut(ca, machine)
    clock.wrong = wrong
    async with booted.running():
        await booted.until_said("there is no token", within=NOTICED)
        assert booted.credentials.value is None
        clock.wrong = 0.0
        await booted.until_said("open", within=NOTICED)
        assert booted.credentials.value == held
    assert caplog.text.count("is not used") == 1


async def test_a_certificate_is_used_when_it_is_no_longer_too_early_for_it(
    ca: CertificateServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is hurried until it is right never jumps: it is asked again all the same."""
    monkeypatch.setattr(resuming, "REFUSED_AGAIN", 0.1)
    monkeypatch.setattr(resuming, "STEP", 2 * HOUR)
    booted, clock, held = await after_a_power_cut(ca, machine)
    clock.wrong = -HOUR
    async with booted.running():
        await booted.until_said("there is no token", within=NOTICED)
        clock.wrong = 0.0
        await booted.until_said("open", within=NOTICED)
        assert booted.credentials.value == held


async def test_what_is_refused_and_does_not_change_is_not_judged_over_and_over(
    ca: CertificateServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    booted, clock, _ = await after_a_power_cut(ca, machine)
    clock.wrong = -HOUR
    started: list[int] = []
    start = keys._start

    async def counted() -> object:
        started.append(1)
        return await start()

    monkeypatch.setattr(keys, "_start", counted)
    async with booted.running() as keeper:
        await until(lambda: keeper.status.attempts >= 3, within=NOTICED)
    assert len(started) == 1


async def test_a_child_that_could_not_be_started_once_is_started_again(
    ca: CertificateServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the crowd of a boot, or in the middle of an upgrade of the interpreter."""
    monkeypatch.setattr(resuming, "UNJUDGED_AGAIN", 0.2)
    booted, _, held = await after_a_power_cut(ca, machine)
    with monkeypatch.context() as upgrade:
        upgrade.setattr(sys, "executable", "/nowhere/python3")
        async with booted.running():
            await booted.until_said("there is no token", within=NOTICED)
            upgrade.undo()
            await booted.until_said("open", within=NOTICED)
            assert booted.credentials.value == held


async def test_files_that_could_not_be_read_are_read_when_they_can_be(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    booted, _, held = await after_a_power_cut(ca, machine)
    key = machine.certs / "key.pem"
    kept = key.rename(machine.certs / "aside")
    key.mkdir()
    async with booted.running():
        await booted.until_said("there is no token", within=NOTICED)
        assert "cannot be read: Is a directory" in caplog.text
        key.rmdir()
        kept.rename(key)
        await booted.until_said("open", within=NOTICED)
        assert booted.credentials.value == held


async def test_a_clock_that_was_ahead_for_a_while_costs_no_certificate_that_is_held(
    ca: CertificateServer, machine: Machine
) -> None:
    clock = Clock()
    machine = Machine(machine.config, clock=clock)
    async with machine.running():
        held = await machine.until_renewed()
        await ca.stop()
        clock.wrong = 2 * HOUR
        renewal_is_due(machine)
        await machine.until_said("our certificate expired at", within=NOTICED)
        clock.wrong = 0.0
        await machine.until_said("open", within=NOTICED)
        assert machine.credentials.value is not None
        assert machine.credentials.value.chain_pem == held.chain_pem


def renewal_is_due(machine: Machine) -> None:
    """At once, and not at the next look at the clock: as after an edit of the roots."""
    machine.root.write_bytes(machine.root.read_bytes() + b"\n" + Authority().root_pem)
