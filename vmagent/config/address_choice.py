"""Which of the host's addresses the mesh shall know, the one to register first.

Owns:      the decision, from values alone.
Does not:  read interfaces (addresses.py).
Surprise:  bridges of container runtimes and hypervisors do not count: nobody outside reaches them.
           Istio's start script takes the first word of ``hostname -I``, docker0's if it comes first.
"""

import ipaddress
import re

from vmagent.config.addresses import Host

_INTERNAL = re.compile(
    r"docker\d*|br-[0-9a-f]{12}|virbr\d+(-nic)?|vnet\d+|veth.*|cni\d*|podman\d*|lxcbr\d+|lxdbr\d+|incusbr\d+"
    r"|flannel.*|cali.*|cilium_.*|kube-ipvs0|nodelocaldns|tunl0|vmnet\d+|vboxnet\d+"
)


def choose(host: Host, given: str, *, excluded: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """``given`` (ISTIO_SVC_IP) first, then what the route to the control plane sends from, then the default
    route's, then the kernel's order. Interfaces that are ``excluded`` by name have no say; ``given`` always
    has.

    Empty: there is no address yet that anybody could reach us at.
    """
    outside = [
        address.ip
        for address in host.addresses
        if address.interface not in excluded
        and (not _INTERNAL.fullmatch(address.interface) or address.ip in host.routed)
    ]
    routed = [ip for ip in (*host.towards, *host.routed) if ip in outside]
    ordered = ([given] if given else []) + routed + outside
    return tuple(dict.fromkeys(ordered))


def all_ipv6(ips: tuple[str, ...]) -> bool:
    return bool(ips) and all(ipaddress.ip_address(ip).version == 6 for ip in ips)
