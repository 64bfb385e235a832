"""The way to the first certificate, and everything that can stand in it. Each wrong file heals without a
restart."""

import logging
import stat
import time

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.authority import Authority, jwt, pem, service_account_jwt
from tests.flow.identity.certificate_server import SERVER_NAME, CertificateServer
from tests.flow.identity.conftest import VM, Machine
from vmagent.identity.config import KeySpec
from vmagent.identity.endpoint import Endpoint

HEALED = 2.0
"""Seconds from a repair to the certificate."""


async def test_a_new_machine_gets_its_certificate(
    ca: CertificateServer, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with machine.running() as keeper:
        await machine.until_said("open")
        credential = machine.credentials.value
        assert credential is not None
        assert credential.spiffe == VM
        leaf, root = x509.load_pem_x509_certificates(credential.chain_pem)
        assert root == ca.authority.cert
        assert credential.not_after == leaf.not_valid_after_utc.timestamp()
        assert credential.root_pem == ca.authority.root_pem
        assert keeper.status.not_after == credential.not_after
        assert keeper.status.renews_at == pytest.approx(time.time() + 1800, abs=60)
        assert keeper.status.token_expires == pytest.approx(time.time() + 3600, abs=5)
        assert (keeper.status.attempts, keeper.status.failures, keeper.status.problem) == (1, 0, "")
    [call], [request] = ca.calls, ca.requests
    assert call["authorization"] == f"Bearer {machine.token.read_text().strip()}"
    assert call["clusterid"] == "Kubernetes"
    assert call["x-extra"] == "1"
    assert request.validity_duration == 24 * 3600
    assert dict(request.metadata) == {"CertSigner": ""}
    assert "generated new workload certificate\tresourceName=default" in caplog.text
    assert "PRIVATE" not in caplog.text
    assert machine.token.read_text().strip() not in caplog.text


async def test_the_credential_is_kept_private_on_disk(machine: Machine) -> None:
    """Even when the agent is told to stop at the very moment the certificate has come."""
    async with machine.running():
        credential = await machine.until_renewed()
    for name, data in (
        ("key.pem", credential.key_pem),
        ("cert-chain.pem", credential.chain_pem),
        ("root-cert.pem", credential.root_pem),
    ):
        assert (machine.certs / name).read_bytes() == data
    assert stat.S_IMODE((machine.certs / "key.pem").stat().st_mode) == 0o600


async def test_an_rsa_key_is_made_where_the_settings_ask_for_one(machine: Machine) -> None:
    machine = machine.configured(key=KeySpec(algorithm="RSA", rsa_bits=2048))
    async with machine.running():
        credential = await machine.until_renewed(within=30.0)
    leaf = x509.load_pem_x509_certificate(credential.chain_pem)
    assert isinstance(leaf.public_key(), rsa.RSAPublicKey)
    assert b"BEGIN RSA PRIVATE KEY" in credential.key_pem


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "there is no token: {path} does not exist"),
        ("", "the token {path} is empty"),
        ("two words", "the token {path} is no token"),
        (
            service_account_jwt("default"),
            "the token {path} belongs to service account vm in namespace default",
        ),
        (service_account_jwt(expires=1), "the token {path} expired at 1970-01-01T00:00:01Z"),
        (service_account_jwt(audience="vault"), "the token {path} is meant for vault"),
        ("abc", "the token {path} is not a JWT"),
    ],
    ids=["missing", "empty", "damaged", "namespace", "expired", "audience", "no-jwt"],
)
async def test_a_wrong_token_is_named_and_a_repaired_one_heals(
    machine: Machine, content: str | None, sentence: str
) -> None:
    good = machine.token.read_text()
    machine.token.unlink()
    if content is not None:
        machine.token.write_text(content)
    async with machine.running():
        why = await machine.until_said(sentence.format(path=machine.token))
        assert "vmagent entry configure" in why
        assert "\n" not in why
        assert content is None or len(content) < 20 or content not in why
        machine.token.write_text(good)
        await machine.until_said("open", within=HEALED)


async def test_a_root_that_does_not_match_is_told_with_both_keys_and_heals(
    ca: CertificateServer, machine: Machine
) -> None:
    wrong = Authority()
    machine.root.write_bytes(wrong.root_pem)
    async with machine.running():
        why = await machine.until_said("does not match")
        assert why.startswith(f"{machine.root} does not match CA {machine.config.ca}")
        for authority in (ca.authority, wrong):
            key = x509.SubjectKeyIdentifier.from_public_key(authority.key.public_key()).digest.hex()[:16]
            assert f"key {key}" in why
        assert "entry configure" in why
        machine.root.write_bytes(ca.authority.root_pem)
        await machine.until_said("open", within=HEALED)
    assert len(ca.calls) == 1  # the token went to nobody we did not trust


async def test_a_damaged_root_is_named_and_heals(ca: CertificateServer, machine: Machine) -> None:
    machine.root.write_bytes(ca.authority.root_pem[:-50])
    async with machine.running():
        assert str(machine.root) in await machine.until_said("is damaged")
        machine.root.write_bytes(ca.authority.root_pem)
        await machine.until_said("open", within=HEALED)


async def test_a_server_name_that_does_not_match_says_which_names_there_are(machine: Machine) -> None:
    endpoint = Endpoint(host="127.0.0.1", port=machine.config.ca.port, server_name="istiod.other.svc")
    machine = machine.configured(ca=endpoint)
    async with machine.running():
        why = await machine.until_said("istiod.other.svc")
        assert f"presents a certificate for {SERVER_NAME}; its server name should be istiod.other.svc" in why
        assert "ISTIOD_SAN" in why


async def test_a_ca_that_is_away_is_waited_for(ca: CertificateServer, machine: Machine) -> None:
    await ca.stop()
    async with machine.running():
        assert f"CA 127.0.0.1:{ca.port}: connection refused" in await machine.until_said("refused")
        await ca.start()
        await machine.until_said("open", within=3.0)


async def test_a_name_that_does_not_resolve_is_told(machine: Machine) -> None:
    machine = machine.configured(ca=Endpoint(host="istiod.invalid", port=15012))
    async with machine.running():
        why = await machine.until_said("resolve", within=12.0)
        assert "the name istiod.invalid does not resolve" in why
        assert "/etc/hosts" in why


async def test_a_port_without_tls_is_told(ca: CertificateServer, machine: Machine) -> None:
    await ca.stop()
    ca.tls = False
    await ca.start()
    async with machine.running():
        await machine.until_said("does not speak TLS", within=12.0)


@pytest.mark.parametrize(
    ("code", "words", "sentence"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "no", "does not accept us (UNAUTHENTICATED: no)"),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "service account vm\nunknown",
            "does not accept us (PERMISSION_DENIED: service account vm unknown)",
        ),
        (grpc.StatusCode.INVALID_ARGUMENT, "ttl too large", "refuses our request (INVALID_ARGUMENT: ttl"),
        (grpc.StatusCode.UNIMPLEMENTED, "", "answers, but is no CA of Istio"),
        (grpc.StatusCode.INTERNAL, "not ready", "failed (INTERNAL: not ready)"),
        (grpc.StatusCode.UNAVAILABLE, "later", "broke off the connection (UNAVAILABLE: later)"),
        (grpc.StatusCode.UNKNOWN, "x" * 5000, "failed (UNKNOWN: xxx"),
    ],
)
async def test_each_refusal_has_its_sentence(
    ca: CertificateServer, machine: Machine, code: grpc.StatusCode, words: str, sentence: str
) -> None:
    ca.refusal = (code, words)
    async with machine.running() as keeper:
        why = await machine.until_said(sentence)
        assert len(why) < 700
        assert keeper.status.problem == why
        assert keeper.status.failures >= 1


async def test_a_certificate_that_does_not_fit_our_key_is_not_taken(
    ca: CertificateServer, machine: Machine
) -> None:
    leaf = ca.authority.leaf(Authority().key.public_key(), [x509.UniformResourceIdentifier(str(VM))])
    ca.chain = [pem(leaf), ca.authority.root_pem.decode()]
    async with machine.running():
        await machine.until_said("does not belong to our key")
    assert machine.credentials.value is None


async def test_a_certificate_for_somebody_else_says_for_whom(ca: CertificateServer, machine: Machine) -> None:
    """This token's subject is no service account, so only the CA knows whose it is."""
    ca.subject = "ns/default/sa/vm"
    machine.token.write_text(jwt(aud="istio-ca", exp=time.time() + 60))
    async with machine.running():
        why = await machine.until_said("is for spiffe://cluster.local/ns/default/sa/vm")
        assert f"not for {VM}" in why
        assert "POD_NAMESPACE" in why
    assert machine.credentials.value is None


@pytest.mark.parametrize("chain", [[], ["-----BEGIN CERTIFICATE-----"]])
async def test_too_short_a_chain_is_refused(
    ca: CertificateServer, machine: Machine, chain: list[str]
) -> None:
    ca.chain = chain
    async with machine.running():
        await machine.until_said(f"sent {len(chain)} certificates")


async def test_garbage_for_a_chain_is_refused(ca: CertificateServer, machine: Machine) -> None:
    ca.chain = ["hello", "world"]
    async with machine.running():
        await machine.until_said("holds no certificate, or a damaged one")


async def test_a_certificate_through_an_intermediate_authority_is_taken(
    ca: CertificateServer, machine: Machine
) -> None:
    ca.authority = Authority("intermediate", parent=ca.authority)
    async with machine.running():
        credential = await machine.until_renewed()
    assert credential.chain_pem.count(b"BEGIN") == 3
    assert credential.root_pem.count(b"BEGIN") == 1
