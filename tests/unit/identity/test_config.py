import dataclasses
from pathlib import Path
from typing import Any

import pytest

from vmagent.identity.certsource import PairFiles, RootFile
from vmagent.identity.config import IdentityConfig, KeySpec, MountedFiles, Shown
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.spiffe import SpiffeId

VM = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")


def config(port: int = 15012) -> IdentityConfig:
    return IdentityConfig(
        spiffe=VM,
        token=Path("/t"),
        ca=Endpoint(host="istiod.istio-system.svc", port=port),
        root_cert=Path("/r"),
    )


def test_only_istiods_plaintext_port_goes_without_tls() -> None:
    assert config(15012).tls
    assert config(443).tls
    assert not config(15010).tls


CERTS, OTHER = Path("/etc/certs"), Path("/var/certs")
FILES = PairFiles(OTHER / "cert-chain.pem", OTHER / "key.pem")
MOUNTED = MountedFiles(pair=FILES, root=RootFile(OTHER / "root-cert.pem"))


@pytest.mark.parametrize(
    ("changes", "shown", "files"),
    [
        ({"output_dir": CERTS, "prov_dir": CERTS}, Shown.OWN, None),
        ({"output_dir": CERTS, "prov_dir": OTHER}, Shown.FILES, FILES),
        ({"output_dir": None, "prov_dir": OTHER}, Shown.FILES, FILES),
        ({"output_dir": CERTS, "prov_dir": None}, Shown.NOTHING, None),
        ({"mounted": MOUNTED}, Shown.OWN, None),
        ({"mounted": MOUNTED, "mounted_client": FILES}, Shown.FILES, FILES),
    ],
)
def test_which_certificate_is_shown_follows_from_where_it_lies(
    changes: dict[str, Any], shown: Shown, files: PairFiles | None
) -> None:
    made = dataclasses.replace(config(), **changes)
    assert (made.shown, made.client_files) == (shown, files)


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
