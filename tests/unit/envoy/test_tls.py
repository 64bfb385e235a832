from typing import Any

import pytest

from tests.unit.envoy.examples import VM, vm
from vmagent.envoy import tls
from vmagent.envoy.config import Json, Node
from vmagent.errors import Misconfigured


def context(settings: dict[str, Json], *, http2: bool = True) -> dict[str, Any]:
    made: Any = tls.upstream(VM, settings, key="tracing.tlsSettings", sni="tracer", http2=http2)
    found: dict[str, Any] = made["typed_config"]
    return found


def test_plain_text_is_the_default() -> None:
    assert tls.upstream(VM, {}, key="k", sni="s", http2=True) is None
    assert tls.upstream(VM, {"mode": "DISABLE"}, key="k", sni="s", http2=True) is None


def test_the_meshs_own_certificates_come_over_sds() -> None:
    made = context({"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://cluster.local/ns/a/sa/b"]})
    common = made["common_tls_context"]
    assert made["sni"] == "tracer"
    assert common["alpn_protocols"] == ["istio", "h2"]
    assert common["tls_certificate_sds_secret_configs"][0]["name"] == "default"
    assert common["combined_validation_context"]["validation_context_sds_secret_config"]["name"] == "ROOTCA"
    names = common["combined_validation_context"]["default_validation_context"]
    assert names["match_typed_subject_alt_names"][0]["san_type"] == "URI"


def test_a_tracer_that_speaks_http_1_negotiates_nothing() -> None:
    assert "alpn_protocols" not in context({"mode": "ISTIO_MUTUAL"}, http2=False)["common_tls_context"]


def test_simple_verifies_with_the_operators_root_and_names() -> None:
    made = context({"mode": "SIMPLE", "caCertificates": "/ca.pem", "subjectAltNames": ["a.b"], "sni": "x"})
    validation = made["common_tls_context"]["validation_context"]
    assert made["sni"] == "x"
    assert validation["trusted_ca"] == {"filename": "/ca.pem"}
    assert validation["match_typed_subject_alt_names"] == [{"san_type": "DNS", "matcher": {"exact": "a.b"}}]


def test_mutual_brings_a_certificate_and_metadata_may_say_which() -> None:
    settings: dict[str, Json] = {
        "mode": "MUTUAL",
        "caCertificates": "/ca.pem",
        "clientCertificate": "/c.pem",
        "privateKey": "/k.pem",
    }
    config = vm(node=Node(id="i", cluster="c", metadata={"TLS_CLIENT_KEY": "/other.pem"}))
    made: Any = tls.upstream(config, settings, key="k", sni="s", http2=True)
    certificate = made["typed_config"]["common_tls_context"]["tls_certificates"][0]
    assert certificate == {
        "certificate_chain": {"filename": "/c.pem"},
        "private_key": {"filename": "/other.pem"},
    }


def test_verification_is_given_up_only_when_that_was_said() -> None:
    with pytest.raises(Misconfigured, match=r"tracing\.tlsSettings\.caCertificates is missing"):
        context({"mode": "SIMPLE"})
    made = context({"mode": "SIMPLE", "insecureSkipVerify": True})
    assert "validation_context" not in made["common_tls_context"]


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(Misconfigured, match="'MUTAUL' is unknown"):
        context({"mode": "MUTAUL"})
