"""The mesh's root becomes another one, by an operator who edits root-cert.pem, while a machine runs."""

import logging
import time

import pytest

from tests.authority import Authority
from tests.flow.identity.certificate_server import CertificateServer
from tests.flow.identity.conftest import Machine
from tests.flow.xds.machine import until
from vmagent.identity import anchors
from vmagent.identity.credential import Credential

NOTICED = 2.0
"""Seconds."""


def trusts(credential: Credential, *authorities: Authority) -> bool:
    wanted = anchors.blocks(b"".join(each.root_pem for each in authorities)).keys()
    return anchors.blocks(credential.root_pem).keys() == wanted


async def on_disk(machine: Machine) -> Credential:
    """The first certificate, once it has been written down."""
    held = await machine.until_renewed()
    await until(lambda: (machine.certs / "cert-chain.pem").exists())
    await until(lambda: not (machine.certs / ".credential.next").exists())
    return held


async def becomes(ca: CertificateServer, authority: Authority) -> None:
    """The control plane is installed anew, with another root."""
    await ca.stop()
    ca.authority = authority
    await ca.start()


async def test_a_root_that_is_added_is_trusted_within_two_seconds_beside_the_old_one(
    ca: CertificateServer, machine: Machine
) -> None:
    old, new = ca.authority, Authority("new")
    async with machine.running():
        held = await on_disk(machine)
        assert trusts(held, old)
        began = time.monotonic()
        machine.root.write_bytes(old.root_pem + new.root_pem)
        both = await machine.until_renewed(within=NOTICED)
        assert time.monotonic() - began < NOTICED
        assert trusts(both, old, new)
        assert both.chain_pem == held.chain_pem, "the certificate is the same until there is a new one"
        renewed = await machine.until_renewed()
        assert renewed.key_pem != held.key_pem
        assert trusts(renewed, old, new)
    assert anchors.blocks(machine.root.read_bytes()).keys() >= anchors.blocks(new.root_pem).keys()


async def test_through_a_whole_rotation_nobody_is_distrusted_too_early(
    ca: CertificateServer, machine: Machine
) -> None:
    old, new = ca.authority, Authority("new")
    ca.life = 4.0
    async with machine.running():
        await on_disk(machine)
        machine.root.write_bytes(old.root_pem + new.root_pem)
        await becomes(ca, new)
        while anchors.edited(new.root_pem, (held := await machine.until_renewed()).chain_pem):
            assert trusts(held, old, new)
        for _ in range(2):
            assert trusts(held, old, new), "peers may have certificates of the old root for hours"
            held = await machine.until_renewed()
        machine.root.write_bytes(new.root_pem)
        assert trusts(await machine.until_renewed(within=NOTICED), new)
    assert machine.said == ["open"] * len(machine.said)


async def test_a_certificate_is_not_thrown_away_because_the_root_was_replaced_while_the_agent_was_down(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old, new = ca.authority, Authority("new")
    async with machine.running():
        held = await machine.until_renewed()
    await ca.stop()
    machine.root.write_bytes(new.root_pem)
    machine.token.unlink()
    restarted = machine.restarted()
    async with restarted.running():
        resumed = await restarted.until_renewed()
    assert resumed.chain_pem == held.chain_pem
    assert trusts(resumed, new, old)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
async def test_a_root_file_that_is_spoilt_changes_nothing_and_is_named(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    old, new = ca.authority, Authority("new")
    async with machine.running():
        held = await on_disk(machine)
        machine.root.write_bytes(content)
        await until(lambda: "the roots that we have stay" in caplog.text)
        assert machine.credentials.value is held
        machine.root.write_bytes(old.root_pem + new.root_pem)
        assert trusts(await machine.until_renewed(within=NOTICED), old, new)
