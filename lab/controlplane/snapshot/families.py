"""IPv4, IPv6 or both: where a proxy listens, and from where it hands connections to its application.

Surprise:  a proxy of both families is served like one of IPv4 unless ISTIO_DUAL_STACK is on; and with it,
           IPv4 comes first, whichever address the machine named first. So it is with istiod.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3.listener_pb2 import AdditionalAddress, Listener

from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    versions: tuple[int, ...]
    """4, 6 or both, in which it is served; the first one leads."""
    reached: tuple[int, ...]
    """In which it can be told where others are."""
    lookup: "Cluster.DnsLookupFamily.ValueType"

    @property
    def wildcards(self) -> tuple[str, ...]:
        return self._each("0.0.0.0", "::")

    @property
    def loopbacks(self) -> tuple[str, ...]:
        return self._each("127.0.0.1", "::1")

    def inbound_source(self) -> address_pb2.BindConfig:
        """What Envoy hands to the application comes from there; the capture rules let it pass uncaptured."""
        first, *others = self._each("127.0.0.6", "::6")
        return address_pb2.BindConfig(
            source_address={"address": first, "port_value": 0},
            extra_source_addresses=[{"address": {"address": each, "port_value": 0}} for each in others],
        )

    def fitting(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """Those, or ranges, that a proxy is told of: of both families only one that is served in both, else
        those of the first one's."""
        usable = [each for each in addresses if _version(each) in self.reached]
        if len(self.versions) > 1:
            return tuple(usable)
        return tuple(each for each in usable if _version(each) == _version(usable[0]))

    def _each(self, ipv4: str, ipv6: str) -> tuple[str, ...]:
        return tuple({4: ipv4, 6: ipv6}[version] for version in self.versions)


_IPV4 = Families(versions=(4,), reached=(4,), lookup=Cluster.V4_ONLY)
_IPV6 = Families(versions=(6,), reached=(6,), lookup=Cluster.V6_ONLY)
_MIXED = Families(versions=(4,), reached=(4, 6), lookup=Cluster.V4_ONLY)
_BOTH = Families(versions=(4, 6), reached=(4, 6), lookup=Cluster.ALL)


def families(proxy: Proxy, mesh: Mesh) -> Families:
    if proxy.only_ipv6:
        return _IPV6
    if not any(":" in each for each in proxy.ips):
        return _IPV4
    return _BOTH if mesh.dual_stack else _MIXED


def _version(address: str) -> int:
    return ipaddress.ip_network(address, strict=False).version


def also_at(listener: Listener, addresses: Iterable[str]) -> Listener:
    """With more addresses, at the port of its first one."""
    port = listener.address.socket_address.port_value
    listener.additional_addresses.extend(
        AdditionalAddress(address={"socket_address": {"address": each, "port_value": port}})
        for each in addresses
    )
    return listener
