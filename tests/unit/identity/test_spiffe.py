import pytest

from vmagent.identity.spiffe import SpiffeId

VM = "spiffe://cluster.local/ns/istio-demo/sa/vm"


def test_a_spiffe_name_survives_parse_and_print() -> None:
    spiffe = SpiffeId.parse(VM)
    assert (spiffe.trust_domain, spiffe.namespace, spiffe.service_account) == (
        "cluster.local",
        "istio-demo",
        "vm",
    )
    assert str(spiffe) == VM


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cluster.local/ns/a/sa/b",
        "spiffe://cluster.local/ns//sa/vm",
        "spiffe://cluster.local/ns/istio-demo/sa/",
        "spiffe:///ns/istio-demo/sa/vm",
        VM + "/x",
        VM + "\n",
        "https://cluster.local/ns/istio-demo/sa/vm",
        "spiffe://cluster.local/ns/istio demo/sa/vm",
        "spiffe://Cluster.Local/ns/istio-demo/sa/vm",
    ],
)
def test_what_is_not_a_spiffe_name_of_istio_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        SpiffeId.parse(text)


def test_a_name_with_an_empty_part_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="namespace"):
        SpiffeId(trust_domain="cluster.local", namespace="", service_account="vm")
