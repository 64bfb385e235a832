"""The settings of istio-iptables, by its environment names: texts here, typed by the capture room.

Owns:      which names there are and what they are for.
Does not:  judge their values.
"""

from typing import Final

from vmagent.config.setting import row
from vmagent.config.syntax import boolean, text

CUSTOM_IP_TABLES: Final = row(
    "ISTIO_CUSTOM_IP_TABLES", boolean, "false", "The operator writes the rules; the agent writes none."
)
REDIRECT_DNS: Final = row(
    "REDIRECT_DNS", boolean, "false", "As ISTIO_META_DNS_CAPTURE, where that is not set."
)
CAPTURE: Final[dict[str, str]] = {
    "ISTIO_CUSTOM_IP_TABLES": "",
    "ENVOY_PORT": "Port that outbound connections are redirected to (15001).",
    "INBOUND_CAPTURE_PORT": "Port that inbound connections are redirected to (15006).",
    "INBOUND_TUNNEL_PORT": "HBONE port (15008).",
    "PROXY_UID": "User whose traffic is not captured; else that of ENVOY_USER.",
    "PROXY_GID": "Group whose traffic is not captured; else that of ENVOY_USER.",
    "ENVOY_USER": "User that the proxy runs as (istio-proxy).",
    "ISTIO_INBOUND_INTERCEPTION_MODE": "REDIRECT or TPROXY.",
    "ISTIO_INBOUND_PORTS": "Inbound ports to capture; * for all.",
    "ISTIO_LOCAL_EXCLUDE_PORTS": "Inbound ports not to capture, with ISTIO_INBOUND_PORTS=*.",
    "ISTIO_EXCLUDE_INTERFACES": "Interfaces whose traffic is not captured.",
    "ISTIO_SERVICE_CIDR": "Outbound addresses to capture; * for all.",
    "ISTIO_SERVICE_EXCLUDE_CIDR": "Outbound addresses not to capture.",
    "ISTIO_OUTBOUND_PORTS": "Outbound ports to capture besides ISTIO_SERVICE_CIDR.",
    "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE": "Outbound ports not to capture.",
    "KUBE_VIRT_INTERFACES": "Bridges whose inbound traffic counts as outbound.",
    "ISTIO_INBOUND_TPROXY_MARK": "Mark of TPROXY (1337).",
    "ISTIO_INBOUND_TPROXY_ROUTE_TABLE": "Routing table of TPROXY (133).",
    "CAPTURE_ALL_DNS": "Redirect queries to any resolver, not only those of resolv.conf.",
    "DROP_INVALID": "Drop packets that conntrack calls invalid.",
    "INVALID_DROP": "The same.",
    "DUAL_STACK": "Capture IPv4 and IPv6; ISTIO_DUAL_STACK counts first.",
    "ISTIO_OUTBOUND_OWNER_GROUPS": "Groups whose outbound traffic is captured (*).",
    "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE": "Groups whose outbound traffic is not captured.",
    "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR": "Loopback range of outbound rules (127.0.0.1/32).",
    "NATIVE_NFTABLES": "Write rules with nft.",
    "FORCE_IPTABLES_BINARY": "legacy or nft.",
}
"""With its help; empty: a row above. Their texts go to the capture room as they are."""

for _name, _help in CAPTURE.items():
    if _help:
        row(_name, text, "", _help, empty=True)
