"""What a port speaks, as istiod tells protocols apart."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Protocol(StrEnum):
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "MONGO"
    MYSQL = "MYSQL"
    REDIS = "REDIS"
    UDP = "UDP"
    AUTO = ""
    """Nobody said: HTTP is told from other bytes when a connection comes."""

    @property
    def http(self) -> bool:
        """Requests are seen one by one and routed by their host."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def http2(self) -> bool:
        return self in (Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def tls(self) -> bool:
        """The server's name stands in the first bytes."""
        return self in (Protocol.HTTPS, Protocol.TLS)

    @property
    def bytes(self) -> bool:
        """A connection is passed on as it is."""
        return not (self.http or self in (Protocol.AUTO, Protocol.UDP))

    @property
    def routed(self) -> bool:
        """HTTP, declared or found out."""
        return self.http or self is Protocol.AUTO

    @property
    def speaks_first(self) -> bool:
        """Servers of these may send the first byte, so that no listener may wait to look at the client's."""
        return self in (Protocol.MONGO, Protocol.MYSQL)


_SERVER_FIRST_PORTS: Final = frozenset({25, 53, 3306, 27017})
"""SMTP, DNS, MySQL, MongoDB: never guessed at, for the same reason."""

_APP_PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
_ALL: Final[Mapping[str, Protocol]] = {each.value: each for each in Protocol if each is not Protocol.AUTO}


def of_service_port(*, number: int, name: str, transport: str, app: str) -> Protocol:
    """Of a port of a Kubernetes Service: appProtocol, else the name, up to its first dash; else a guess."""
    if transport == "UDP":
        return Protocol.UDP
    if app in _APP_PROTOCOLS:
        return _APP_PROTOCOLS[app]
    said = (app or name).upper()
    if said.startswith(Protocol.GRPC_WEB):
        return Protocol.GRPC_WEB
    named = _ALL.get(said.partition("-")[0], Protocol.AUTO)
    return Protocol.TCP if named is Protocol.AUTO and number in _SERVER_FIRST_PORTS else named
