"""How istiod names things: clusters, listeners, routes, SNI, identities. Operators grep for these.

Does not:  know what stands behind a name.
"""

from typing import Final

BLACK_HOLE: Final = "BlackHoleCluster"
PASSTHROUGH: Final = "PassthroughCluster"
INBOUND_PASSTHROUGH: Final = "InboundPassthroughCluster"

VIRTUAL_OUTBOUND: Final = "virtualOutbound"
VIRTUAL_INBOUND: Final = "virtualInbound"
OUTBOUND_PORT: Final = 15001
INBOUND_PORT: Final = 15006
"""Where captured connections arrive (Istio's port table)."""

ANY_ADDRESS: Final = "0.0.0.0"
"""A service's, if nothing but its name tells it apart: for proxies of IPv6, too."""
HTTP_PROXY: Final = "http_proxy"
"""The route table of applications that use HTTP_PROXY."""

_API: Final = "/apis/networking.istio.io/v1/namespaces"
"""istiod names the configuration behind a cluster or route by today's API version, whatever the document
says."""


def outbound(port: int, host: str, subset: str = "") -> str:
    return f"outbound|{port}|{subset}|{host}"


def inbound(port: int) -> str:
    return f"inbound|{port}||"


def sni(port: int, host: str, subset: str = "") -> str:
    """The server name of a mutual TLS connection; a gateway between networks routes by it."""
    return f"outbound_.{port}_.{subset}_.{host}"


def spiffe(trust_domain: str, account: str) -> str:
    """``account`` is ``<namespace>/<service account>``."""
    namespace, _, name = account.partition("/")
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{name}"


def listener(address: str, port: int) -> str:
    return f"{address}_{port}"


def virtual_host(host: str, port: int) -> str:
    return f"{host}:{port}"


def operation(subject: str, port: int) -> str:
    """What a trace calls a request: the host it was for or, where weights chose, the VirtualService."""
    return f"{subject}:{port}/*"


def configuration(kind: str, namespace: str, name: str) -> str:
    return f"{_API}/{namespace}/{kind}/{name}"
