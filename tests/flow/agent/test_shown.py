"""What CA and control plane are shown, certificate or token: Istio's rules, each against real TLS."""

from typing import Any

import pytest

from tests.authority import service_account_jwt
from tests.flow.agent.world import CLIENT, JOINED, NAMED, OTHER, USUAL, VM, WORKLOAD, World, world
from tests.flow.xds.machine import until
from vmagent import reporting
from vmagent.runtime.places import GATES
from vmagent.runtime.readiness import Readiness

__all__ = ["world"]
"""A fixture."""


def met(world: World) -> tuple[list[str | None], list[str | None]]:
    """Whom xDS and CA saw, call by call."""
    return [call.peer for call in world.istiod.xds.calls], [call.peer for call in world.istiod.ca.calls]


@pytest.fixture
def vm(world: World) -> World:
    """Roots and name are right; the workload's certificate goes where the control plane's root is not."""
    world.env = {
        "ISTIOD_SAN": "istiod.istio-system.svc",
        "XDS_ROOT_CA": f"./{NAMED}",
        "CA_ROOT_CA": f"./{NAMED}",
    }
    world.roots(xds=NAMED, ca=NAMED)
    return world


async def test_the_token_gets_the_first_certificate_and_both_open_the_next_stream(vm: World) -> None:
    """The first one does not wait for the certificate where the token is good."""
    vm.env |= {"XDS_HEADER_x_team": "web", "CA_HEADER_X_EXTRA": "1"}
    async with vm.istiod.running(), vm.running():
        await vm.joined()
        vm.istiod.xds.drop()
        await until(lambda: len(vm.istiod.xds.calls) == 2, within=JOINED)
    [first, xds], [ca] = vm.istiod.xds.calls, vm.istiod.ca.calls
    assert (first.peer in ("", VM), xds.peer, ca.peer) == (True, VM, "")
    assert (xds.token, ca.token) == (vm.token, vm.token)
    assert (xds.metadata["clusterid"], ca.metadata["clusterid"]) == ("Kubernetes", "Kubernetes")
    assert (xds.metadata["x_team"], ca.metadata["x_extra"]) == ("web", "1")


async def test_a_token_is_read_afresh_for_every_stream(vm: World) -> None:
    async with vm.istiod.running(), vm.running():
        await vm.joined()
        first = vm.token
        second = service_account_jwt(expires=2e9)
        vm.write("var/run/secrets/tokens/istio-token", f"  {second}\n\n")
        vm.istiod.xds.drop()
        await until(lambda: len(vm.istiod.xds.calls) == 2, within=JOINED)
    assert [call.token for call in vm.istiod.xds.calls] == [first, second]


async def test_the_certificate_of_the_last_run_needs_no_token(vm: World) -> None:
    async with vm.istiod.running():
        async with vm.running():
            await vm.joined()
        vm.remove("var/run/secrets/tokens/istio-token")
        vm.gates = Readiness(*GATES)
        async with vm.running():
            await vm.joined()
    assert (met(vm)[0][1:], met(vm)[1]) == ([VM], [""])
    assert vm.istiod.xds.calls[1].token == ""


async def test_without_prov_cert_the_token_speaks_alone(vm: World) -> None:
    vm.env |= {"PROV_CERT": ""}
    async with vm.istiod.running(), vm.running():
        await vm.joined()
    assert met(vm) == ([""], [""])
    assert {call.token for call in (*vm.istiod.xds.calls, *vm.istiod.ca.calls)} == {vm.token}


async def test_without_prov_cert_and_token_it_is_said_what_is_missing(vm: World) -> None:
    vm.env |= {"PROV_CERT": ""}
    vm.remove("var/run/secrets/tokens/istio-token")
    async with vm.istiod.running(), vm.running():
        await until(lambda: "there is no token" in vm.trouble)
        await until(lambda: "there is no token" in vm.gates.gates["identity"])
    assert met(vm) == ([], [])


@pytest.mark.parametrize("token", [True, False], ids=["with a token", "without a token"])
async def test_a_provided_certificate_is_shown_to_both_and_stays_as_it_is(vm: World, token: bool) -> None:
    vm.env |= {"PROV_CERT": "./prov", "OUTPUT_CERTS": ""}
    vm.pair("prov/cert-chain.pem", "prov/key.pem", uri=OTHER)
    before = (vm.base / "prov/cert-chain.pem").read_bytes()
    if not token:
        vm.remove("var/run/secrets/tokens/istio-token")
    async with vm.istiod.running(), vm.running():
        await vm.joined()
    assert met(vm) == ([OTHER], [OTHER])
    assert vm.istiod.ca.calls[0].token == (vm.token if token else "")
    assert (vm.base / "prov/cert-chain.pem").read_bytes() == before


async def test_a_provided_certificate_that_is_replaced_is_shown_from_the_next_connection_on(
    vm: World,
) -> None:
    vm.env |= {"PROV_CERT": "./prov"}
    vm.pair("prov/cert-chain.pem", "prov/key.pem", uri=OTHER)
    async with vm.istiod.running(), vm.running() as agent:
        await vm.joined()
        before = agent._proof.files.news.value
        vm.pair("prov/cert-chain.pem", "prov/key.pem", uri=f"{OTHER}-2")
        await until(lambda: agent._proof.files.news.value != before)
        vm.istiod.xds.drop()
        await until(lambda: len(vm.istiod.xds.calls) == 2, within=JOINED)
    assert met(vm)[0] == [OTHER, f"{OTHER}-2"]


def expired(vm: World) -> str:
    vm.pair("prov/cert-chain.pem", "prov/key.pem", uri=OTHER, life=-60.0)
    return "cert-chain.pem expired at"


def unparsable(vm: World) -> str:
    vm.write("prov/cert-chain.pem", "nothing of the kind")
    vm.write("prov/key.pem", "neither")
    return "cert-chain.pem holds no certificate"


def half(vm: World) -> str:
    vm.pair("prov/cert-chain.pem", "prov/key.pem", uri=OTHER)
    vm.remove("prov/key.pem")
    return "key.pem does not exist"


def mixed(vm: World) -> str:
    vm.pair("prov/cert-chain.pem", "prov/spare.pem", uri=OTHER)
    vm.pair("prov/spare-chain.pem", "prov/key.pem", uri=OTHER)
    return "does not belong to the certificate in"


@pytest.mark.parametrize("spoil", [expired, unparsable, half, mixed])
async def test_a_provided_certificate_that_will_not_do_is_named_and_the_token_speaks(
    vm: World, spoil: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Once the token has got us a certificate of our own, that is shown: better than nothing."""
    vm.env |= {"PROV_CERT": "./prov"}
    says = spoil(vm)
    async with vm.istiod.running(), vm.running():
        await vm.joined()
        assert vm.agent is not None
        known = vm.agent.known()
        await until(lambda: says in reporting.facts(known).trouble.get("identity", ""))
    assert met(vm)[1] == [""]
    assert set(met(vm)[0]) <= {"", VM}
    assert says in caplog.text


async def test_a_provided_certificate_that_nobody_can_use_is_named_where_there_is_no_token(vm: World) -> None:
    vm.env |= {"PROV_CERT": "./prov"}
    says = expired(vm)
    vm.remove("var/run/secrets/tokens/istio-token")
    async with vm.istiod.running(), vm.running():
        await until(lambda: says in vm.gates.gates["identity"], within=JOINED)
        await until(lambda: says in vm.trouble)
        vm.pair("prov/cert-chain.pem", "prov/key.pem", uri=OTHER)
        await vm.joined()
    assert met(vm)[1] == [OTHER]


@pytest.mark.parametrize(
    ("folder", "names", "env"),
    [
        ("etc/certs", ("cert-chain.pem", "key.pem", "root-cert.pem"), {"FILE_MOUNTED_CERTS": "true"}),
        (WORKLOAD, ("cert-chain.pem", "key.pem", "root-cert.pem"), {}),
        (
            WORKLOAD,
            ("certificates.pem", "private_key.pem", "ca_certificates.pem"),
            {"CA_PROVIDER": "GkeWorkloadCertificate"},
        ),
    ],
    ids=["etc/certs", "workload credentials", "GKE"],
)
async def test_a_mounted_certificate_is_ours_and_no_ca_is_asked(
    vm: World, folder: str, names: tuple[str, str, str], env: dict[str, str]
) -> None:
    vm.env |= env
    vm.remove("var/run/secrets/tokens/istio-token")
    chain, key, root = (f"{folder}/{name}" for name in names)
    vm.pair(chain, key, uri=VM)
    vm.write(root, vm.istiod.mesh.root_pem)
    async with vm.istiod.running(), vm.running() as agent:
        await vm.joined()
        held = agent._proof.credentials.value
        assert held is not None
        assert held.root_pem == vm.istiod.mesh.root_pem
        vm.pair(chain, key, uri=VM)
        await until(lambda: agent._proof.credentials.value != held)
        assert vm.gates.is_open("identity")
    assert met(vm) == ([VM], [])
    assert sorted(path.name for path in (vm.base / "etc/certs").iterdir() if "key" in path.name) == (
        ["key.pem"] if folder == "etc/certs" else []
    )


async def test_a_mounted_certificate_that_is_missing_is_waited_for_by_name(vm: World) -> None:
    vm.env |= {"FILE_MOUNTED_CERTS": "true"}
    async with vm.istiod.running(), vm.running():
        await until(
            lambda: f"{vm.base}/etc/certs/cert-chain.pem does not exist" in vm.gates.gates["identity"]
        )
        vm.pair("etc/certs/cert-chain.pem", "etc/certs/key.pem", uri=VM)
        await vm.joined()


async def test_istiod_may_be_shown_another_certificate_than_the_mesh(vm: World) -> None:
    del vm.env["XDS_ROOT_CA"]
    vm.env |= {
        "FILE_MOUNTED_CERTS": "true",
        "ISTIO_META_TLS_CLIENT_CERT_CHAIN": "./client/chain.pem",
        "ISTIO_META_TLS_CLIENT_KEY": "./client/key.pem",
        "ISTIO_META_TLS_CLIENT_ROOT_CERT": f"./{CLIENT}",
    }
    vm.pair(f"{WORKLOAD}/cert-chain.pem", f"{WORKLOAD}/key.pem", uri=VM)
    vm.write(f"{WORKLOAD}/root-cert.pem", vm.istiod.mesh.root_pem)
    vm.pair("client/chain.pem", "client/key.pem", uri=OTHER)
    vm.roots(xds=CLIENT, ca=CLIENT)
    vm.remove(USUAL)
    async with vm.istiod.running(), vm.running() as agent:
        await vm.joined()
        assert agent._proof.credentials.value is not None
        assert str(agent._proof.credentials.value.spiffe) == VM
    assert met(vm) == ([OTHER], [])
