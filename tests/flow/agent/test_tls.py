"""How CA and control plane are recognised and what they are shown: Istio's rules, each against real TLS.

The whole agent, but for an Envoy: there is none where it looks.
"""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.authority import Authority, service_account_jwt
from tests.flow.agent.istiod import ISTIOD, Istiod
from tests.flow.agent.machine import directory
from tests.flow.xds.machine import until
from tests.ports import free_ports
from tests.unit.config.vm import CLUSTER_ENV, HOST
from vmagent import reporting
from vmagent.agent import Agent
from vmagent.config import load
from vmagent.config.resolve import Paths
from vmagent.identity import trust
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.places import GATES
from vmagent.runtime.readiness import Readiness

VM = "spiffe://cluster.local/ns/istio-demo/sa/vm"
OTHER = "spiffe://cluster.local/ns/tooling/sa/other"

USUAL = "etc/certs/root-cert.pem"
PROVIDED = "prov/root-cert.pem"
LAST = "var/run/secrets/istio/root-cert.pem"
NAMED, NAMED_TOO = "named/root.pem", "named/another.pem"
CLIENT = "client/root.pem"
SYSTEM = "system/bundle.crt"
WORKLOAD = "var/run/secrets/workload-spiffe-credentials"

JOINED = 10.0
"""Seconds for a busy machine."""


class World:
    """A VM's files below one directory, and its control plane."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.istiod = Istiod(base)
        self.decoy = Authority("decoy")
        self.status, self.names = free_ports(2)
        self.env: dict[str, str] = {}
        self.mesh = ""
        self.gates = Readiness(*GATES)
        self.agent: Agent | None = None
        self.write("var/run/secrets/tokens/istio-token", service_account_jwt() + "\n")
        self.write("etc/resolv.conf", "nameserver 127.0.0.1\n")

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def remove(self, name: str) -> None:
        (self.base / name).unlink(missing_ok=True)

    @property
    def token(self) -> str:
        return (self.base / "var/run/secrets/tokens/istio-token").read_text().strip()

    def pair(self, chain: str, key: str, *, uri: str, life: float = 3600.0) -> None:
        """A certificate that the mesh would take, in two files."""
        made_key, made = self.istiod.mesh.server(x509.UniformResourceIdentifier(uri), life=life)
        self.write(chain, made)
        self.write(key, made_key)

    def roots(self, *, xds: str, ca: str) -> None:
        """The right roots in their places, and a wrong one wherever else somebody might look."""
        for place in (USUAL, PROVIDED, LAST, NAMED, NAMED_TOO, CLIENT, SYSTEM):
            right = [self.istiod.xds.authority.root_pem] if place == xds else []
            right += [self.istiod.ca.authority.root_pem] if place == ca else []
            self.write(place, b"".join(right) or self.decoy.root_pem)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        xds, ca = self.istiod.xds, self.istiod.ca
        settings = {
            "PILOT_ADDRESS": f"{self.env.pop('HOST', xds.host)}:{xds.number}",
            "CA_ADDR": f"127.0.0.1:{ca.number}",
            "DNS_PROXY_ADDR": f"127.0.0.1:{self.names}",
            "ISTIO_META_DNS_CAPTURE": "false",
        } | self.env
        self.write(
            "cluster.env", CLUSTER_ENV + "".join(f"{key}='{value}'\n" for key, value in settings.items())
        )
        mesh = f"  statusPort: {self.status}\n  configPath: {self.base}/proxy\n  binaryPath: /nowhere/envoy\n"
        self.write("mesh", f"defaultConfig:\n{mesh}{self.mesh}")
        names = ("cluster.env", "sidecar.env", "agent.env", "mesh")
        cluster, sidecar, own, mesh_file = (self.base / name for name in names)
        paths = Paths(cluster_env=cluster, sidecar_env=sidecar, agent_env=own, mesh=mesh_file, base=self.base)
        run_dir = self.base / "run"
        run_dir.mkdir(exist_ok=True)
        self.agent = agent = Agent(
            load.load(paths, {}, HOST).config, self.gates, run_dir=run_dir, clock=SystemClock()
        )
        stop = asyncio.Event()
        async with Tasks() as tasks:
            running = tasks.start("agent", agent.run(stop))
            try:
                yield agent
            finally:
                stop.set()
                async with asyncio.timeout(10):
                    await asyncio.wait((running,))

    @property
    def trouble(self) -> str:
        assert self.agent is not None
        return reporting.facts(self.agent.known()).trouble.get("xds", "")

    async def joined(self) -> None:
        try:
            await until(lambda: self.gates.is_open("xds") and self.gates.is_open("identity"), within=JOINED)
        except TimeoutError:
            raise AssertionError(f"not joined: {self.gates.waiting}; {self.trouble}") from None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with directory() as path:
        monkeypatch.setattr(trust, "SYSTEM_BUNDLES", (path / "nowhere.crt", path / SYSTEM))
        yield World(path)


# --- which root -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Root:
    """What the settings say, and where the right roots must lie for CA and xDS to be met."""

    name: str
    env: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    xds: str
    ca: str


ROOTS = (
    Root(name="as a VM is set up", xds=USUAL, ca=USUAL),
    Root(name="XDS_ROOT_CA", env={"XDS_ROOT_CA": f"./{NAMED}"}, xds=NAMED, ca=USUAL),
    Root(name="CA_ROOT_CA", env={"CA_ROOT_CA": f"./{NAMED}"}, xds=USUAL, ca=NAMED),
    Root(name="XDS_ROOT_CA SYSTEM", env={"XDS_ROOT_CA": "SYSTEM"}, xds=SYSTEM, ca=USUAL),
    Root(name="CA_ROOT_CA SYSTEM", env={"CA_ROOT_CA": "SYSTEM"}, xds=USUAL, ca=SYSTEM),
    Root(
        name="both by name",
        env={"XDS_ROOT_CA": f"./{NAMED}", "CA_ROOT_CA": f"./{NAMED_TOO}"},
        xds=NAMED,
        ca=NAMED_TOO,
    ),
    Root(name="PROV_CERT, and etc/certs is there", env={"PROV_CERT": "./prov"}, xds=USUAL, ca=PROVIDED),
    Root(name="PROV_CERT alone", env={"PROV_CERT": "./prov"}, absent=(USUAL,), xds=PROVIDED, ca=PROVIDED),
    Root(
        name="PILOT_CERT_PROVIDER custom",
        env={"PROV_CERT": "./prov", "PILOT_CERT_PROVIDER": "custom"},
        xds=USUAL,
        ca=USUAL,
    ),
    Root(name="neither provided nor usual", env={"PROV_CERT": ""}, absent=(USUAL,), xds=LAST, ca=LAST),
    Root(name="not provided", env={"PROV_CERT": ""}, xds=USUAL, ca=LAST),
    Root(
        name="PILOT_CERT_PROVIDER none, and both named",
        env={
            "PROV_CERT": "",
            "PILOT_CERT_PROVIDER": "none",
            "XDS_ROOT_CA": f"./{NAMED}",
            "CA_ROOT_CA": "SYSTEM",
        },
        absent=(USUAL, LAST),
        xds=NAMED,
        ca=SYSTEM,
    ),
)


@pytest.mark.parametrize("row", ROOTS, ids=lambda row: row.name)
async def test_only_the_root_that_the_settings_name_lets_us_in(world: World, row: Root) -> None:
    """Every other place holds the root of somebody else."""
    world.env = {"ISTIOD_SAN": "istiod.istio-system.svc", "OUTPUT_CERTS": "./out"} | row.env
    world.roots(xds=row.xds, ca=row.ca)
    for name in row.absent:
        world.remove(name)
    async with world.istiod.running(), world.running():
        await world.joined()
    assert len(world.istiod.ca.calls) == 1


async def test_a_root_that_is_replaced_counts_for_the_next_connection(world: World) -> None:
    """As when a control plane was set up anew: it is refused until its root is there."""
    world.env = {"ISTIOD_SAN": "istiod.istio-system.svc", "XDS_ROOT_CA": f"./{NAMED}"}
    world.roots(xds=USUAL, ca=USUAL)
    async with world.istiod.running(), world.running():
        await until(lambda: f"{world.base / NAMED} does not match control plane" in world.trouble)
        world.write(NAMED, world.istiod.xds.authority.root_pem)
        await world.joined()


# --- which name -------------------------------------------------------------------------------------------

FOUR = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
SIX = x509.IPAddress(ipaddress.ip_address("::1"))


@dataclass(frozen=True, kw_only=True)
class Name:
    host: str
    bears: tuple[x509.GeneralName, ...]
    env: dict[str, str] = field(default_factory=dict)
    says: str = ""
    """Why not, if it is to be refused."""

    @property
    def name(self) -> str:
        return f"{self.host} {self.env.get('ISTIOD_SAN', '')} {'refused' if self.says else ''}".strip()


NAMES = (
    Name(host="localhost", bears=(ISTIOD,)),
    Name(
        host="localhost", bears=(x509.DNSName("localhost"),), says="server name should be istiod.istio-system"
    ),
    Name(host="127.0.0.1", bears=(FOUR,)),
    Name(host="[::1]", bears=(SIX,)),
    Name(host="127.0.0.1", bears=(ISTIOD,), says="server name should be 127.0.0.1"),
    Name(host="127.0.0.1", bears=(x509.DNSName("mesh.corp"),), env={"ISTIOD_SAN": "mesh.corp"}),
    Name(host="localhost", bears=(x509.DNSName("mesh.corp"),), env={"ISTIOD_SAN": "mesh.corp"}),
    Name(
        host="localhost",
        bears=(ISTIOD,),
        env={"ISTIOD_SAN": "mesh.corp"},
        says="presents a certificate for istiod.istio-system.svc; its server name should be mesh.corp",
    ),
)


@pytest.mark.parametrize("row", NAMES, ids=lambda row: row.name)
async def test_the_control_plane_must_bear_the_name_that_follows_from_its_address(
    world: World, row: Name
) -> None:
    xds, ca = world.istiod.xds, world.istiod.ca
    xds.host, xds.names = row.host.strip("[]"), row.bears
    ca.names = (FOUR, *row.bears)
    world.env = {"HOST": row.host, "OUTPUT_CERTS": "./out"} | row.env
    world.roots(xds=USUAL, ca=USUAL)
    async with world.istiod.running(), world.running():
        if row.says:
            await until(lambda: row.says in world.trouble)
            assert "ISTIOD_SAN" in world.trouble
            assert xds.calls == []
        else:
            await world.joined()


async def test_one_name_holds_for_both_though_istios_start_script_keeps_it_from_the_ca(world: World) -> None:
    world.istiod.ca.names = (FOUR,)
    world.env = {"ISTIOD_SAN": "istiod.istio-system.svc"}
    world.roots(xds=USUAL, ca=USUAL)
    async with world.istiod.running(), world.running():
        await until(
            lambda: "its server name should be istiod.istio-system.svc" in world.gates.gates["identity"]
        )
        assert world.istiod.ca.calls == []


# --- which TLS --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "works"),
    [(ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)],
)
async def test_tls_older_than_1_2_is_no_tls(world: World, newest: ssl.TLSVersion, works: bool) -> None:
    world.istiod.xds.newest = newest
    world.env = {"ISTIOD_SAN": "istiod.istio-system.svc"}
    world.roots(xds=USUAL, ca=USUAL)
    world.write(USUAL, world.istiod.xds.authority.root_pem + world.istiod.ca.authority.root_pem)
    world.env["OUTPUT_CERTS"] = "./out"
    async with world.istiod.running(), world.running():
        if works:
            await world.joined()
        else:
            await until(lambda: "TLS" in world.trouble)
            assert "ended the TLS handshake" in world.trouble or "does not speak TLS" in world.trouble
            assert world.istiod.xds.calls == []


async def test_without_tls_no_root_is_needed_and_the_token_is_not_sent(world: World) -> None:
    """controlPlaneAuthPolicy NONE switches it off for xDS, and for xDS alone."""
    world.istiod.xds.tls = False
    world.mesh = "  controlPlaneAuthPolicy: NONE\n"
    world.env = {"ISTIOD_SAN": "istiod.istio-system.svc", "CA_ROOT_CA": f"./{NAMED}", "OUTPUT_CERTS": "./out"}
    world.roots(xds=NAMED, ca=NAMED)
    world.remove(USUAL)
    async with world.istiod.running(), world.running():
        await world.joined()
    assert [(call.peer, call.token) for call in world.istiod.xds.calls] == [(None, "")]
    assert [call.token for call in world.istiod.ca.calls] == [world.token]


# --- which certificate, and the token -----------------------------------------------------------------------


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
