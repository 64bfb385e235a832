"""The judgement of certificates, one flaw at a time."""

import time
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.authority import Authority, pem, private_pem
from vmagent.errors import Refused
from vmagent.identity.judgement import bundle, check_path, first_uri, pair, verify
from vmagent.identity.signer import Session, make_csr, make_key

VM = "spiffe://cluster.local/ns/istio-demo/sa/vm"
URI = [x509.UniformResourceIdentifier(VM)]
KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = Authority()


def judge(
    leaf: x509.Certificate,
    *between: x509.Certificate,
    roots: Sequence[x509.Certificate] = (ROOT.cert,),
    now: float | None = None,
) -> None:
    verify(KEY, (leaf, *between), roots, spiffe=VM, now=time.time() if now is None else now)


def test_a_leaf_signed_by_the_root_is_good() -> None:
    judge(ROOT.leaf(KEY.public_key(), URI))


def test_a_chain_through_two_authorities_is_good_in_any_order() -> None:
    upper = Authority("upper", parent=ROOT)
    lower = Authority("lower", parent=upper)
    leaf = lower.leaf(KEY.public_key(), URI)
    judge(leaf, lower.cert, upper.cert)
    judge(leaf, upper.cert, lower.cert)
    judge(leaf, ROOT.cert, upper.cert, lower.cert)


def test_among_several_roots_of_the_same_name_the_right_one_is_found() -> None:
    judge(ROOT.leaf(KEY.public_key(), URI), roots=(Authority().cert, ROOT.cert))


def test_another_root_of_the_same_name_is_told_apart_by_its_key() -> None:
    other = Authority()
    with pytest.raises(Refused) as refused:
        judge(ROOT.leaf(KEY.public_key(), URI), roots=(other.cert,))
    said = str(refused.value)
    ours = x509.SubjectKeyIdentifier.from_public_key(ROOT.key.public_key()).digest.hex()[:16]
    theirs = x509.SubjectKeyIdentifier.from_public_key(other.key.public_key()).digest.hex()[:16]
    assert f"ends with O=cluster.local (key {ours}…)" in said
    assert f"key {theirs}…" in said


def test_a_missing_intermediate_says_whose_signature_is_missing() -> None:
    middle = Authority("middle", parent=ROOT)
    with pytest.raises(Refused, match="ends with O=middle"):
        judge(middle.leaf(KEY.public_key(), URI))


def test_what_is_no_authority_cannot_sign() -> None:
    fake = Authority("fake", parent=ROOT, ca=False)
    with pytest.raises(Refused, match=r"O=fake .* is no certificate authority"):
        judge(fake.leaf(KEY.public_key(), URI), fake.cert)


def test_an_authority_may_not_have_more_below_it_than_it_says() -> None:
    root = Authority(path_length=0)
    lower = Authority("lower", parent=root)
    with pytest.raises(Refused, match="allows 0 authorities below it, the chain has 1"):
        judge(lower.leaf(KEY.public_key(), URI), lower.cert, roots=(root.cert,))
    judge(root.leaf(KEY.public_key(), URI), roots=(root.cert,))


def test_an_expired_authority_spoils_the_chain() -> None:
    old = Authority("old", parent=ROOT, start=time.time() - 1000, life=100)
    with pytest.raises(Refused, match=r"O=old .* expired"):
        judge(old.leaf(KEY.public_key(), URI), old.cert)


def test_a_heap_of_cross_signed_authorities_ends_quickly() -> None:
    heap = [Authority("loop") for _ in range(40)]
    leaf = heap[0].leaf(KEY.public_key(), URI)
    with pytest.raises(Refused):
        check_path(leaf, [a.cert for a in heap], [ROOT.cert], time.time())


def test_a_certificate_for_somebody_else_says_for_whom() -> None:
    other = "spiffe://cluster.local/ns/default/sa/vm"
    with pytest.raises(Refused, match=f"is for {other}, not for {VM}") as refused:
        judge(ROOT.leaf(KEY.public_key(), [x509.UniformResourceIdentifier(other)]))
    assert "SERVICE_ACCOUNT" in refused.value.hint


def test_a_second_name_in_the_certificate_is_refused() -> None:
    with pytest.raises(Refused, match="not for"):
        judge(ROOT.leaf(KEY.public_key(), [*URI, x509.UniformResourceIdentifier("spiffe://a/ns/b/sa/c")]))


def test_a_certificate_without_a_spiffe_name_is_refused() -> None:
    with pytest.raises(Refused, match="no SPIFFE name"):
        judge(ROOT.leaf(KEY.public_key(), [x509.DNSName("vm")]))


def test_a_certificate_for_another_key_is_refused() -> None:
    with pytest.raises(Refused, match="does not belong to our key"):
        judge(ROOT.leaf(make_key("P256", 2048).public_key(), URI))


def test_an_expired_and_a_future_certificate_say_what_the_clock_says() -> None:
    leaf = ROOT.leaf(KEY.public_key(), URI, life=100)
    with pytest.raises(Refused, match=r"expired at .*; the clock here says") as refused:
        judge(leaf, now=time.time() + 101)
    assert "clock" in refused.value.hint
    with pytest.raises(Refused, match=r"valid only from .*; the clock here says 1970-01-01T00:00:00Z"):
        judge(leaf, now=0.0)


@pytest.mark.parametrize("use", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
def test_a_certificate_for_one_end_of_tls_is_refused(use: x509.ObjectIdentifier) -> None:
    with pytest.raises(Refused, match="both ends"):
        judge(ROOT.leaf(KEY.public_key(), URI, uses=[use]))


def test_an_unknown_demand_of_the_certificate_is_refused() -> None:
    with pytest.raises(Refused, match=r"1\.2\.3\.4"):
        judge(ROOT.leaf(KEY.public_key(), URI, strange=True))


def test_the_request_names_us_and_nothing_else() -> None:
    csr = x509.load_pem_x509_csr(make_csr(KEY, VM))
    assert csr.is_signature_valid
    assert csr.subject == x509.Name([])
    [extension] = csr.extensions
    assert extension.critical
    assert isinstance(extension.value, x509.SubjectAlternativeName)
    assert list(extension.value) == URI


@pytest.mark.parametrize(
    ("algorithm", "pkcs8", "begin", "kind"),
    [
        ("P256", False, "BEGIN EC PRIVATE KEY", ec.EllipticCurvePrivateKey),
        ("P384", True, "BEGIN PRIVATE KEY", ec.EllipticCurvePrivateKey),
        ("RSA", False, "BEGIN RSA PRIVATE KEY", rsa.RSAPrivateKey),
    ],
)
def test_a_session_gives_the_key_only_with_its_verified_chain(
    algorithm: str, pkcs8: bool, begin: str, kind: type
) -> None:
    session, now = Session(), time.time()
    asked = session.answer(
        "request", {"spiffe": VM, "algorithm": algorithm, "rsa_bits": 2048, "pkcs8": pkcs8}
    )
    assert "PRIVATE" not in str(asked)
    chain = ROOT.sign(asked["csr"], VM, life=100)
    got = session.answer("accept", {"chain": chain, "spiffe": VM, "now": now})
    assert begin in got["key"]
    assert isinstance(load_pem_private_key(got["key"].encode(), None), kind)
    assert got["chain"] == "".join(chain)
    assert got["root"] == chain[-1]
    assert got["not_after"] - now == pytest.approx(100, abs=2)
    stored = {name: got[name] for name in ("key", "chain", "root")}
    assert session.answer("check", {**stored, "spiffe": VM, "now": now}) == got


def test_a_refused_chain_leaves_no_key_behind() -> None:
    session = Session()
    asked = session.answer("request", {"spiffe": VM, "algorithm": "P256", "rsa_bits": 2048, "pkcs8": False})
    chain = ROOT.sign(asked["csr"], VM.replace("vm", "other"))
    with pytest.raises(Refused):
        session.answer("accept", {"chain": chain, "spiffe": VM, "now": time.time()})
    with pytest.raises(AssertionError):
        session.answer("accept", {"chain": chain, "spiffe": VM, "now": time.time()})


@pytest.mark.parametrize("broken", ["key", "chain", "root"])
def test_a_damaged_stored_file_is_refused_with_a_sentence(broken: str) -> None:
    leaf = ROOT.leaf(KEY.public_key(), URI)
    stored = {"key": "x", "chain": pem(leaf), "root": pem(ROOT.cert)} | {
        broken: "-----BEGIN CERTIFICATE-----"
    }
    with pytest.raises(Refused, match="damaged"):
        Session().answer("check", {**stored, "spiffe": VM, "now": time.time()})


def test_elements_without_a_final_newline_do_not_run_together() -> None:
    session = Session()
    asked = session.answer("request", {"spiffe": VM, "algorithm": "P256", "rsa_bits": 2048, "pkcs8": False})
    chain = [one.rstrip() for one in ROOT.sign(asked["csr"], VM)]
    got = session.answer("accept", {"chain": chain, "spiffe": VM, "now": time.time()})
    assert got["chain"].count("-----\n-----BEGIN") == 1


# --- certificates that others made and keep in files -------------------------------------------------------


def in_files(chain: str, key: bytes) -> x509.Certificate:
    return pair(chain, key.decode(), "/c/chain.pem", "/c/key.pem")


def test_a_pair_in_files_is_good_if_it_belongs_together_whoever_it_is_for_and_however_old_it_is() -> None:
    long_ago = time.time() - 1000
    leaf = ROOT.leaf(KEY.public_key(), [], start=long_ago, life=-500)
    assert in_files(pem(leaf) + pem(ROOT.cert), private_pem(KEY)) == leaf
    assert first_uri(leaf) == ""
    assert first_uri(ROOT.leaf(KEY.public_key(), URI)) == VM


def test_a_key_of_another_pair_is_told_with_both_files() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Refused) as refused:
        in_files(pem(ROOT.leaf(KEY.public_key(), URI)), private_pem(other))
    assert "the key /c/key.pem does not belong to the certificate in /c/chain.pem" in str(refused.value)
    assert refused.value.hint


def encrypted() -> bytes:
    return KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def edwards() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (encrypted(), "/c/key.pem is encrypted, and nobody can be asked for its passphrase"),
        (edwards(), "/c/key.pem is neither EC nor RSA"),
        (b"hunter2", "/c/key.pem is damaged, or of a kind we do not know"),
    ],
    ids=["encrypted", "of another kind", "damaged"],
)
def test_a_key_that_envoy_could_not_load_is_told_with_its_file(key: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        in_files(pem(ROOT.leaf(KEY.public_key(), URI)), key)
    assert "hunter2" not in str(refused.value)


def test_a_file_without_a_certificate_is_told_by_name() -> None:
    with pytest.raises(Refused, match=r"/c/chain\.pem holds no certificate"):
        in_files("root:x:0:0", private_pem(KEY))


def test_what_is_damaged_in_a_bundle_is_left_out_and_counted() -> None:
    good, other = pem(ROOT.cert), pem(Authority("other").cert)
    bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    cut = "-----BEGIN CERTIFICATE-----\nAAAA\n"
    assert bundle(f"# ours\n{good}{bad}{other}{cut}", "/c/roots.pem") == (good + other, 2)


@pytest.mark.parametrize("text", ["", "root:x:0:0", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_bundle_without_one_whole_certificate_is_told_by_name(text: str) -> None:
    with pytest.raises(Refused, match=r"/c/roots\.pem holds no certificate, or damaged ones only"):
        bundle(text, "/c/roots.pem")


def test_a_bundle_without_end_is_not_believed() -> None:
    with pytest.raises(Refused, match="201 certificates"):
        bundle(pem(ROOT.cert) * 201, "/c/roots.pem")


def test_a_session_judges_files_by_name() -> None:
    leaf = ROOT.leaf(KEY.public_key(), URI, life=100)
    names = {"chain_from": "/c", "key_from": "/k"}
    asked = {"chain": pem(leaf), "key": private_pem(KEY).decode(), **names}
    answer = Session().answer("pair", asked)
    assert answer["uri"] == VM
    assert answer["not_after"] == leaf.not_valid_after_utc.timestamp()
    root = {"pem": pem(ROOT.cert), "pem_from": "/r"}
    assert Session().answer("bundle", root) == {"pem": pem(ROOT.cert), "dropped": 0}
