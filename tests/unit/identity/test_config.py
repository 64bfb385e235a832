from pathlib import Path

import pytest

from vmagent.identity.config import IdentityConfig, KeySpec
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.spiffe import SpiffeId

VM = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")


def config(port: int = 15012, *, output: Path | None = None, prov: Path | None = None) -> IdentityConfig:
    return IdentityConfig(
        spiffe=VM,
        token=Path("/t"),
        ca=Endpoint(host="istiod.istio-system.svc", port=port),
        root_cert=Path("/r"),
        output_dir=output,
        prov_dir=prov,
    )


def test_only_istiods_plaintext_port_goes_without_tls() -> None:
    assert config(15012).tls
    assert config(443).tls
    assert not config(15010).tls


def test_a_provisioned_certificate_counts_as_foreign_only_in_a_directory_of_its_own() -> None:
    certs, other = Path("/etc/certs"), Path("/var/certs")
    assert config(output=certs, prov=certs).foreign_prov_dir is None
    assert config(output=certs).foreign_prov_dir is None
    assert config(output=certs, prov=other).foreign_prov_dir == other
    assert config(prov=certs).foreign_prov_dir == certs


def test_a_weak_key_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match="1024"):
        KeySpec(algorithm="RSA", rsa_bits=1024)


@pytest.mark.parametrize(
    ("endpoint", "name", "text"),
    [
        (Endpoint(host="istiod.test", port=15012), "istiod.test", "istiod.test:15012"),
        (Endpoint(host="10.0.0.1", port=1, server_name="a.b"), "a.b", "10.0.0.1:1"),
        (Endpoint(host="localhost", port=1), "istiod.istio-system.svc", "localhost:1"),
        (Endpoint(host="fd00::1", port=1), "fd00::1", "[fd00::1]:1"),
    ],
)
def test_the_name_that_tls_checks(endpoint: Endpoint, name: str, text: str) -> None:
    assert endpoint.tls_name == name
    assert str(endpoint) == text
