from dataclasses import replace

import pytest

from vmagent._pb import wire_pb2 as wire
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.sds.secrets import STATUS_URL, TYPE_URL, changed, denial, own, response

HELD = Credential(
    spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
    key_pem=b"key",
    chain_pem=b"chain",
    root_pem=b"root",
    not_before=0.0,
    not_after=1.0,
)


def test_each_name_has_its_own_content() -> None:
    contents = [(name, own(name, HELD)) for name in ("default", "ROOTCA")]
    message = response(contents, version="v/1", nonce="n")
    assert (message.version_info, message.nonce, message.type_url) == ("v/1", "n", TYPE_URL)
    assert {one.type_url for one in message.resources} == {TYPE_URL}
    default, root = (wire.Secret.FromString(one.value) for one in message.resources)
    assert default.name == "default"
    assert default.tls_certificate.private_key.inline_bytes == b"key"
    assert default.tls_certificate.certificate_chain.inline_bytes == b"chain"
    assert not default.HasField("validation_context")
    assert root.name == "ROOTCA"
    assert root.validation_context.trusted_ca.inline_bytes == b"root"
    assert not root.HasField("tls_certificate")


@pytest.mark.parametrize(
    ("following", "names"),
    [
        (HELD, ()),
        (replace(HELD, key_pem=b"k2", chain_pem=b"c2"), ("default",)),
        (replace(HELD, root_pem=b"r2"), ("ROOTCA",)),
        (replace(HELD, root_pem=b"r2", chain_pem=b"c2"), ("ROOTCA", "default")),
        (replace(HELD, not_after=9.0), ()),
    ],
)
def test_only_what_differs_counts_as_changed(following: Credential, names: tuple[str, ...]) -> None:
    assert changed(HELD, following) == names


def test_the_first_credential_changes_everything() -> None:
    assert changed(None, HELD) == ("ROOTCA", "default")


def test_a_denial_carries_its_sentence_and_nothing_that_could_be_taken_for_a_secret() -> None:
    message = denial("/c/root.pem does not exist", nonce="n")
    assert (message.type_url, message.nonce, message.version_info) == (TYPE_URL, "n", "")
    [only] = message.resources
    assert only.type_url == STATUS_URL
    status = wire.Status.FromString(only.value)
    assert (status.code, status.message) == (5, "/c/root.pem does not exist")
