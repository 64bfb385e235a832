"""CreateCertificate over TLS, and everybody who does not get one."""

import base64
import datetime
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.controlplane.authority import load_key
from lab.controlplane.server import ControlPlane
from lab.controlplane.tokens import ServiceAccount, TokenIssuer
from tests.flow.lab.client import certificate, channel, new_csr, private_pem

ME = "spiffe://cluster.local/ns/istio-demo/sa/vm"
MINUTE = datetime.timedelta(minutes=1)


def leaf_of(chain: list[str]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(chain[0].encode())


async def refusal(control_plane: ControlPlane, csr: str = "", **how: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await certificate(control_plane, csr or new_csr()[1], **how)
    return caught.value.code(), caught.value.details() or ""


async def test_a_certificate_names_the_caller_and_not_what_the_csr_asks_for(
    control_plane: ControlPlane,
) -> None:
    key, csr = new_csr(san="spiffe://cluster.local/ns/kube-system/sa/admin", cn="admin")
    chain = await certificate(control_plane, csr, token=control_plane.issue_token("istio-demo", "vm"))

    assert len(chain) == 2
    assert chain[1].encode() == control_plane.root_pem
    leaf, root = leaf_of(chain), x509.load_pem_x509_certificate(chain[1].encode())
    leaf.verify_directly_issued_by(root)
    assert leaf.public_key() == key.public_key()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [ME]
    assert [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [ME]
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert not usage.key_cert_sign


async def test_a_csr_without_a_common_name_gets_none(control_plane: ControlPlane) -> None:
    chain = await certificate(
        control_plane, new_csr()[1], token=control_plane.issue_token("istio-demo", "vm")
    )
    assert len(list(leaf_of(chain).subject)) == 0


@pytest.mark.parametrize(("asked", "granted"), [(0, 24 * 3600), (-5, 24 * 3600), (20, 20), (7200, 7200)])
async def test_the_lifetime_is_what_was_asked_for_or_a_day(
    control_plane: ControlPlane, asked: int, granted: int
) -> None:
    token = control_plane.issue_token("istio-demo", "vm")
    leaf = leaf_of(await certificate(control_plane, new_csr()[1], token=token, ttl=asked))
    # Two minutes into the past for clocks that are behind; a second for the fraction that X.509 drops.
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert life == datetime.timedelta(seconds=granted) + 2 * MINUTE


async def test_a_lifetime_beyond_the_most_is_an_invalid_argument(control_plane: ControlPlane) -> None:
    token = control_plane.issue_token("istio-demo", "vm")
    code, text = await refusal(control_plane, token=token, ttl=91 * 24 * 3600)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith("CSR signing error (requested TTL 7862400s is greater than")


async def test_a_csr_signed_by_another_key_is_an_invalid_argument(control_plane: ControlPlane) -> None:
    csr = x509.load_pem_x509_csr(new_csr()[1].encode())
    forged = bytearray(csr.public_bytes(serialization.Encoding.DER))
    forged[-1] ^= 1
    text = _pem(bytes(forged))
    token = control_plane.issue_token("istio-demo", "vm")
    assert (await refusal(control_plane, text, token=token))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert (await refusal(control_plane, "rubbish", token=token))[0] is grpc.StatusCode.INVALID_ARGUMENT


def _pem(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


async def test_without_a_token_and_without_a_certificate_nobody_is_anybody(
    control_plane: ControlPlane,
) -> None:
    assert await refusal(control_plane) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "request authenticate failure",
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "expired"),
        ("audience", "audience is ['somebody-else'], expected 'istio-ca'"),
        ("namespace", "namespace nowhere does not exist"),
        ("account", "service account istio-demo/stranger does not exist"),
        ("future", "not valid for another"),
        ("signature", "signature does not match"),
        ("foreign key", "signed with a key that is not ours"),
        ("issuer", "issuer is"),
        ("rubbish", "not a JWT"),
    ],
)
async def test_a_bad_token_is_refused_and_only_the_server_log_says_why(
    control_plane: ControlPlane, caplog: pytest.LogCaptureFixture, kind: str, reason: str
) -> None:
    token = _bad_token(control_plane, kind)
    code, text = await refusal(control_plane, token=token)
    assert (code, text) == (grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure")
    assert reason in caplog.text
    assert token not in caplog.text


def _bad_token(control_plane: ControlPlane, kind: str) -> str:
    issue = control_plane.issue_token
    mine = ServiceAccount("istio-demo", "vm")
    match kind:
        case "expired":
            return issue("istio-demo", "vm", ttl=60, age=61)
        case "audience":
            return issue("istio-demo", "vm", audience="somebody-else")
        case "namespace":
            return issue("nowhere", "vm")
        case "account":
            return issue("istio-demo", "stranger")
        case "future":
            return issue("istio-demo", "vm", age=-600)
        case "signature":
            head, claims, signature = issue("istio-demo", "vm").split(".")
            return ".".join((head, claims, ("A" if signature[0] != "A" else "B") + signature[1:]))
        case "foreign key":
            other = TokenIssuer(ec.generate_private_key(ec.SECP256R1()), control_plane.settings.issuer)
            return other.issue(mine, audiences=("istio-ca",), ttl=600, now=4_000_000_000)
        case "issuer":
            other = TokenIssuer(load_key(control_plane.settings.state / "token-key.pem"), "https://elsewhere")
            return other.issue(mine, audiences=("istio-ca",), ttl=600, now=1)
        case _:
            return "rubbish"


async def test_a_client_certificate_does_in_place_of_a_token(control_plane: ControlPlane) -> None:
    key, csr = new_csr()
    chain = await certificate(control_plane, csr, token=control_plane.issue_token("istio-demo", "vm"))
    identity = (private_pem(key), "".join(chain).encode())
    renewed = await certificate(control_plane, new_csr()[1], identity=identity)
    names = leaf_of(renewed).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [ME]


async def test_a_client_certificate_of_another_authority_does_not_even_connect(
    control_plane: ControlPlane,
) -> None:
    key, csr = new_csr()
    code, _ = await refusal(control_plane, csr, identity=(private_pem(key), _self_signed(key)))
    assert code is grpc.StatusCode.UNAVAILABLE


def _self_signed(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.datetime.now(datetime.UTC)
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(ME)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - MINUTE)
        .not_valid_after(now + MINUTE)
        .add_extension(uri, critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


async def test_asking_in_somebody_elses_name_is_refused(control_plane: ControlPlane) -> None:
    token = control_plane.issue_token("istio-demo", "vm")
    code, text = await refusal(control_plane, token=token, ImpersonatedIdentity="spiffe://a/ns/b/sa/c")
    assert (code, text) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "request impersonation authentication failure",
    )


async def test_the_serving_certificate_is_istiods(control_plane: ControlPlane) -> None:
    async with channel(control_plane) as to:
        await to.channel_ready()
