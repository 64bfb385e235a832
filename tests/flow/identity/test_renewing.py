"""A certificate that we hold stays good for as long as it can, and the next one comes before its end."""

import asyncio
import logging
import time
from pathlib import Path

import grpc
import psutil
import pytest

from tests.authority import Authority, service_account_jwt
from tests.flow.identity.certificate_server import SERVER_NAME, CertificateServer
from tests.flow.identity.conftest import VM, Machine
from tests.flow.identity.tls_front import TlsFront
from vmagent.identity.endpoint import Endpoint


async def test_short_lived_certificates_follow_each_other_without_a_gap(
    ca: CertificateServer, machine: Machine
) -> None:
    ca.life = 3.0
    async with machine.running():
        held = await machine.until_renewed()
        for _ in range(3):
            following = await machine.until_renewed(within=3.0)
            assert time.time() < held.not_after
            assert following.not_after > held.not_after
            assert following.key_pem != held.key_pem
            held = following
    assert machine.said == ["open"] * 4
    assert len(ca.calls) == 4


async def test_the_ca_may_be_away_for_most_of_the_second_half_of_a_certificates_life(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    ca.life = 4.0
    async with machine.running():
        held = await machine.until_renewed()
        await ca.stop()
        await asyncio.sleep(held.not_after - time.time() - 0.8)
        assert machine.said == ["open"]
        await ca.start()
        await machine.until_renewed(within=1.0)
        assert time.time() < held.not_after + 0.2
    complaints = [r for r in caplog.records if "cannot renew" in r.message]
    assert len(complaints) == 1
    assert "connection refused" in complaints[0].message


async def test_the_gate_closes_when_the_certificate_has_expired_and_opens_again(
    ca: CertificateServer, machine: Machine
) -> None:
    ca.life = 2.0
    async with machine.running():
        held = await machine.until_renewed()
        ca.refusal = (grpc.StatusCode.UNAUTHENTICATED, "no")
        why = await machine.until_said("our certificate expired at", within=4.0)
        assert "does not accept us" in why
        assert time.time() >= held.not_after
        assert machine.credentials.value is held
        ca.refusal = None
        machine.token.write_text(service_account_jwt() + "\n\n")
        await machine.until_said("open", within=2.0)


async def test_a_restart_uses_the_stored_certificate_while_the_ca_is_away_and_the_token_gone(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with machine.running():
        held = await machine.until_renewed()
    await ca.stop()
    machine.token.unlink()
    restarted = machine.restarted()
    async with restarted.running() as keeper:
        await restarted.until_said("open", within=1.0)
        assert restarted.credentials.value == held
        assert keeper.status.attempts == 0
    assert "returned workload certificate from cache\tttl=0h59m" in caplog.text


async def test_a_stored_certificate_of_another_name_is_not_used(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    async with machine.running():
        await machine.until_renewed()
    moved = machine.configured(spiffe=type(VM).parse("spiffe://cluster.local/ns/shop/sa/cart"))
    moved.token.write_text(service_account_jwt("shop", "cart"))
    async with moved.running():
        await moved.until_said("open")
        assert moved.credentials.value is not None
        assert moved.credentials.value.spiffe.namespace == "shop"
    assert f"is not used: the certificate is for {VM}, not for spiffe://cluster.local/ns/shop/sa/cart" in (
        caplog.text
    )


@pytest.mark.parametrize("name", ["key.pem", "cert-chain.pem"])
async def test_a_mixed_up_set_is_detected_and_replaced(
    ca: CertificateServer, machine: Machine, name: str
) -> None:
    async with machine.running():
        first = await machine.until_renewed()
    spoiled = machine.certs / name
    spoiled.write_bytes(Authority().root_pem if name == "cert-chain.pem" else b"no key at all")
    restarted = machine.restarted()
    async with restarted.running():
        second = await restarted.until_renewed()
        assert second.key_pem != first.key_pem
    assert (machine.certs / "cert-chain.pem").read_bytes() == second.chain_pem


async def test_what_a_crash_left_unfinished_is_finished(ca: CertificateServer, machine: Machine) -> None:
    async with machine.running():
        held = await machine.until_renewed()
    divider = b"\n# --- next file ---\n"
    (machine.certs / ".credential.next").write_bytes(
        divider.join((held.key_pem, held.chain_pem, held.root_pem))
    )
    (machine.certs / "cert-chain.pem").unlink()
    await ca.stop()
    restarted = machine.restarted()
    async with restarted.running():
        assert await restarted.until_renewed(within=1.0) == held
    assert (machine.certs / "cert-chain.pem").read_bytes() == held.chain_pem


async def test_a_directory_that_cannot_be_written_costs_a_warning_only(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    machine = machine.configured(output_dir=blocked / "certs", prov_dir=None)
    async with machine.running():
        await machine.until_said("open")
    assert "cannot keep the certificate" in caplog.text


async def test_an_answer_that_never_comes_is_not_waited_for_for_ever(
    ca: CertificateServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmagent.identity.ca_client.CALL", 0.3)
    ca.hang = True
    async with machine.running():
        await machine.until_said("took the request and gave no answer within 0.3 s")


async def test_an_agent_that_is_stopped_while_it_asks_leaves_nothing_behind(
    ca: CertificateServer, machine: Machine
) -> None:
    before = _children()  # other tests' helpers
    ca.hang = True
    async with machine.running():
        async with asyncio.timeout(3.0):
            await ca.asked.wait()
        assert _children() != before
    assert _children() == before


# --- who introduces us -------------------------------------------------------------------------------------


async def test_a_renewal_shows_the_certificate_as_well_as_the_token(
    machine: Machine, ca: CertificateServer, tmp_path: Path
) -> None:
    await ca.stop()
    ca.tls, ca.life = False, 2.0
    await ca.start()
    front = TlsFront(ca.authority, SERVER_NAME, ca.authority, ca.port, tmp_path)
    async with front.running():
        machine = machine.configured(ca=Endpoint(host="127.0.0.1", port=front.port, server_name=SERVER_NAME))
        async with machine.running():
            await machine.until_renewed()
            await machine.until_renewed()
    assert front.seen == ["", str(VM)]
    assert all("authorization" in call for call in ca.calls)


async def test_a_certificate_that_the_ca_cannot_verify_is_left_out_at_the_second_try(
    machine: Machine, ca: CertificateServer, tmp_path: Path
) -> None:
    """As after a reinstalled control plane: its TLS trusts no client of the old authority."""
    await ca.stop()
    ca.tls, ca.life = False, 2.0
    await ca.start()
    front = TlsFront(ca.authority, SERVER_NAME, Authority("new"), ca.port, tmp_path)
    async with front.running():
        machine = machine.configured(ca=Endpoint(host="127.0.0.1", port=front.port, server_name=SERVER_NAME))
        async with machine.running():
            held = await machine.until_renewed()
            await machine.until_renewed()
            assert time.time() < held.not_after
    assert machine.said == ["open", "open"]
    assert set(front.seen) == {""}


async def test_a_ca_that_looks_at_the_token_first_is_asked_with_the_certificate_alone(
    machine: Machine, ca: CertificateServer, tmp_path: Path
) -> None:
    """As some do that are not istiod: an expired token is refused, although the certificate is good."""
    await ca.stop()
    ca.tls, ca.life = False, 3.0
    await ca.start()
    front = TlsFront(ca.authority, SERVER_NAME, ca.authority, ca.port, tmp_path)
    async with front.running():
        machine = machine.configured(ca=Endpoint(host="127.0.0.1", port=front.port, server_name=SERVER_NAME))
        async with machine.running():
            held = await machine.until_renewed()
            machine.token.write_text(service_account_jwt(expires=time.time() - 1))
            ca.trusts = "ns/istio-demo/sa/vm"
            await machine.until_renewed()
            assert time.time() < held.not_after
    assert front.seen[-1] == str(VM)
    assert "authorization" not in ca.calls[-1]
    assert machine.said == ["open", "open"]


async def test_a_provisioned_certificate_of_other_tooling_is_shown_and_never_written(
    machine: Machine, ca: CertificateServer, tmp_path: Path
) -> None:
    async with machine.running():
        provisioned = await machine.until_renewed()
    await ca.stop()
    ca.tls = False
    await ca.start()
    directory = tmp_path / "provisioned"
    directory.mkdir()
    (directory / "key.pem").write_bytes(provisioned.key_pem)
    (directory / "cert-chain.pem").write_bytes(provisioned.chain_pem)
    front = TlsFront(ca.authority, SERVER_NAME, ca.authority, ca.port, tmp_path)
    async with front.running():
        machine = machine.configured(
            ca=Endpoint(host="127.0.0.1", port=front.port, server_name=SERVER_NAME),
            output_dir=None,
            prov_dir=directory,
        )
        async with machine.running():
            fresh = await machine.until_renewed()
    assert front.seen == [str(VM)]
    assert fresh.key_pem != provisioned.key_pem
    assert (directory / "key.pem").read_bytes() == provisioned.key_pem


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}
