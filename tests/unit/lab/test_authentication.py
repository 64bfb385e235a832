"""Which service accounts exist, and who is nobody."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lab.controlplane.accounts import account_problem
from lab.controlplane.authentication import AuthenticationFailed, Authenticator
from lab.controlplane.faults import Faults
from lab.controlplane.front import Peer
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.spiffe import SpiffeId
from lab.controlplane.tokens import ServiceAccount, TokenIssuer

WORLD = World.of(
    parse(
        """
{apiVersion: v1, kind: Namespace, metadata: {name: empty}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: till, namespace: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, spec: {serviceAccountName: cook}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: g, namespace: shop}
spec: {template: {serviceAccount: vm}}
""",
        file="test",
    ).resources
)


@pytest.mark.parametrize("account", ["shop/till", "shop/cook", "shop/vm", "shop/default", "empty/default"])
def test_an_account_exists_if_it_was_written_or_something_runs_as_it(account: str) -> None:
    assert account_problem(WORLD, ServiceAccount(*account.split("/"))) == ""


def test_an_account_nobody_wrote_and_nothing_runs_as_does_not_exist() -> None:
    assert account_problem(WORLD, ServiceAccount("shop", "x")) == "service account shop/x does not exist"
    assert account_problem(WORLD, ServiceAccount("nowhere", "default")) == "namespace nowhere does not exist"


def authenticator() -> Authenticator:
    return Authenticator(
        issuer=TokenIssuer(ec.generate_private_key(ec.SECP256R1()), "me"),
        audience="istio-ca",
        trust_domain=lambda: "cluster.local",
        exists=lambda _: "",
        now=lambda: 0,
        faults=Faults(),
    )


def test_who_did_not_come_through_the_tls_port_is_nobody_even_with_a_good_token() -> None:
    guard = authenticator()
    token = guard.issuer.issue(ServiceAccount("a", "b"), audiences=("istio-ca",), ttl=60, now=0)
    headers = [("authorization", f"Bearer {token}")]
    through = Peer(address="10.0.0.1:1", certificate=None)
    assert guard.authenticate(through, headers).identity == SpiffeId(
        trust_domain="cluster.local", namespace="a", account="b"
    )
    with pytest.raises(AuthenticationFailed):
        guard.authenticate(None, headers)


@pytest.mark.parametrize("headers", [[], [("authorization", "Basic x")], [("authorization", b"Bearer x")]])
def test_a_header_that_is_no_bearer_token_is_none(headers: list[tuple[str, str | bytes]]) -> None:
    with pytest.raises(AuthenticationFailed):
        authenticator().authenticate(Peer(address="10.0.0.1:1", certificate=None), headers)


def test_a_spiffe_name_reads_back_as_it_was_written() -> None:
    text = "spiffe://cluster.local/ns/istio-demo/sa/vm"
    assert str(SpiffeId.parse(text)) == text
    with pytest.raises(ValueError, match="is not spiffe://"):
        SpiffeId.parse("spiffe://cluster.local/vm")
