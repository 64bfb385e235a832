"""How CA and control plane are recognised: Istio's rules, each against real TLS."""

import ipaddress
import ssl
from dataclasses import dataclass, field

import pytest
from cryptography import x509

from tests.flow.agent.istiod import ISTIOD
from tests.flow.agent.world import (
    LAST,
    NAMED,
    NAMED_TOO,
    PROVIDED,
    SYSTEM,
    USUAL,
    World,
    world,
)
from tests.flow.xds.machine import until

__all__ = ["world"]
"""A fixture."""


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
