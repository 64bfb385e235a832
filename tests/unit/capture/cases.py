"""The named cases of the golden files: settings and host in, restore text out."""

import ipaddress
from collections.abc import Mapping, Set
from dataclasses import dataclass

from vmagent.capture.config import CaptureConfig, parse
from vmagent.capture.host import Host
from vmagent.capture.rule import Family


class TwoAccounts:
    """istio-proxy as the lab has it: uid and gid differ, and neither is 1337."""

    def user(self, who: str) -> tuple[int, int] | None:
        return {"istio-proxy": (998, 996), "998": (998, 996), "envoy": (113, 114)}.get(who)

    def group(self, who: str) -> int | None:
        return {"istio-proxy": 996, "backup": 34}.get(who)


def host(*nameservers: str, ipv4: bool = True, ipv6: bool = False, envoy: Set[Family] = frozenset()) -> Host:
    return Host(
        nameservers=tuple(ipaddress.ip_address(server) for server in nameservers or ("10.96.0.10",)),
        ipv4=ipv4,
        ipv6=ipv6,
        envoy=frozenset(envoy),
    )


TYPICAL: Mapping[str, str] = {
    "ISTIO_INBOUND_PORTS": "*",
    "ISTIO_LOCAL_EXCLUDE_PORTS": "22,15090,15021,15020",
    "ISTIO_SERVICE_CIDR": "*",
    "ISTIO_META_DNS_CAPTURE": "true",
}
"""What `istioctl x workload entry configure` writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    env: Mapping[str, str]
    host: Host

    @property
    def config(self) -> CaptureConfig:
        return parse(self.env, TwoAccounts())


CASES = (
    Case(name="typical", env=TYPICAL, host=host("192.168.0.59")),
    Case(name="systemd-resolved", env=TYPICAL, host=host("127.0.0.53")),
    Case(name="nothing-set", env={}, host=host()),
    Case(name="no-dns", env={**TYPICAL, "ISTIO_META_DNS_CAPTURE": "false"}, host=host()),
    Case(name="two-resolvers", env=TYPICAL, host=host("10.96.0.10", "192.168.0.59")),
    Case(name="all-dns", env={**TYPICAL, "CAPTURE_ALL_DNS": "true"}, host=host()),
    Case(
        name="dual-stack",
        env={**TYPICAL, "ISTIO_DUAL_STACK": "true", "ISTIO_SERVICE_CIDR": "10.0.0.0/8,fd00:1::/64"},
        host=host("10.96.0.10", "fd00::53", ipv6=True),
    ),
    Case(
        name="dual-stack-without-istiods",
        env={**TYPICAL, "ISTIO_DUAL_STACK": "true"},
        host=host("10.96.0.10", "fd00::53", ipv6=True, envoy={"ipv4"}),
    ),
    Case(
        name="only-ipv6-beside-docker",
        env=TYPICAL,
        host=host("127.0.0.53", "fd00::53", ipv6=True, envoy={"ipv6"}),
    ),
    Case(name="only-ipv6", env=TYPICAL, host=host("fd00::53", ipv4=False, ipv6=True)),
    Case(
        name="lists",
        env={
            "ISTIO_INBOUND_PORTS": "80,8000:9000",
            "ISTIO_SERVICE_CIDR": "10.0.0.0/8,172.16.0.0/12",
            "ISTIO_SERVICE_EXCLUDE_CIDR": "10.1.0.0/16",
            "ISTIO_OUTBOUND_PORTS": "9080",
            "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE": "5432",
            "ISTIO_EXCLUDE_INTERFACES": "docker0,br-+",
        },
        host=host(),
    ),
    Case(name="loopback-captured", env={**TYPICAL, "ISTIO_SERVICE_CIDR": "127.1.2.0/24"}, host=host()),
    Case(
        name="only-these-groups",
        env={**TYPICAL, "ISTIO_OUTBOUND_OWNER_GROUPS": "backup,202"},
        host=host(),
    ),
    Case(
        name="all-but-these-groups",
        env={**TYPICAL, "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE": "backup,202"},
        host=host(),
    ),
    Case(
        name="other-ports-and-owners",
        env={
            **TYPICAL,
            "ENVOY_PORT": "25001",
            "INBOUND_CAPTURE_PORT": "25006",
            "INBOUND_TUNNEL_PORT": "25008",
            "PROXY_UID": "998,113",
            "PROXY_GID": "996",
            "DROP_INVALID": "true",
            "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR": "127.0.0.0/8",
        },
        host=host(),
    ),
)
