"""Gateway: the ports a router opens, for which hosts, and how it ends their TLS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata
from lab.controlplane.kinds.protocol import Protocol

_PROTOCOLS: Final = tuple(each for each in Protocol if each is not Protocol.AUTO)
_TLS_MODES: Final = ("PASSTHROUGH", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")
_VERSIONS: Final = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    mode: str = "PASSTHROUGH"
    redirect: bool = False
    """httpsRedirect: plain requests are sent to HTTPS."""
    certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credentials: tuple[str, ...] = ()
    """Secrets, in place of files; the CA comes with the first one's."""
    subject_alt_names: tuple[str, ...] = ()
    oldest: str = "TLS_AUTO"
    newest: str = "TLS_AUTO"
    ciphers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    number: int
    port_name: str
    protocol: Protocol
    hosts: tuple[str, ...]
    """``[NAMESPACE/]HOST``."""
    tls: ServerTls | None = None
    bind: str = ""
    name: str = ""

    @property
    def ends_tls(self) -> bool:
        return self.tls is not None and self.tls.mode != "PASSTHROUGH" and not self.protocol.http


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    KIND: ClassVar[str] = "Gateway"

    metadata: Metadata
    servers: tuple[Server, ...]
    selector: Mapping[str, str]
    """Empty: every router."""


def read_gateway(at: Field) -> Gateway:
    at.leave("status")
    spec = at["spec"]
    gateway = Gateway(
        metadata=read_metadata(at["metadata"]),
        servers=tuple(_read_server(each) for each in spec["servers"]),
        selector=spec["selector"].labels(),
    )
    if not gateway.servers:
        raise spec["servers"].bad("gateway must have at least one server")
    names: set[str] = set()
    for server, field in zip(gateway.servers, spec["servers"], strict=True):
        if server.port_name in names:
            raise field["port"]["name"].bad("port names in servers must be unique")
        names.add(server.port_name)
    return gateway


def _read_server(at: Field) -> Server:
    port = at["port"]
    written = port["protocol"].text()
    if written.upper() not in _PROTOCOLS:
        raise port["protocol"].bad(f"invalid protocol: write one of {', '.join(_PROTOCOLS)}")
    server = Server(
        number=port["number"].port(),
        port_name=port["name"].text(),
        protocol=Protocol(written.upper()),
        hosts=tuple(_read_host(each) for each in at["hosts"]),
        tls=_read_tls(at["tls"]),
        bind="" if at["bind"].absent else at["bind"].address(),
        name=at["name"].text(""),
    )
    if not server.hosts:
        raise at["hosts"].bad("server config must contain at least one host")
    if server.protocol.tls and server.tls is None:
        raise at["tls"].bad("server must have TLS settings for HTTPS/TLS protocols")
    _check_tls(server, at["tls"])
    return server


def _check_tls(server: Server, at: Field) -> None:
    """Plain HTTP may be sent on to HTTPS; nothing else may have TLS whose protocol is not of it."""
    if server.tls is None or server.protocol.tls:
        return
    if not server.protocol.http:
        raise at.bad("server cannot have TLS settings for non HTTPS/TLS ports: write protocol TLS")
    files = server.tls.certificate or server.tls.private_key or server.tls.ca_certificates
    if server.tls.mode != "PASSTHROUGH" or files:
        raise at.bad("server cannot have TLS settings for plain text HTTP ports")


def _read_host(at: Field) -> str:
    namespace, slash, host = at.text().partition("/")
    if not slash:
        at.host(wildcard=True)
    elif not namespace or not host:
        raise at.bad("write HOST or NAMESPACE/HOST")
    return at.text()


def _read_tls(at: Field) -> ServerTls | None:
    if at.absent:
        return None
    redirect = at["httpsRedirect"].flag(False)
    tls = ServerTls(
        mode=at["mode"].choice(_TLS_MODES, "PASSTHROUGH"),
        redirect=redirect,
        certificate=at["serverCertificate"].text(""),
        private_key=at["privateKey"].text(""),
        ca_certificates=at["caCertificates"].text(""),
        credentials=at["credentialNames"].texts() or tuple(filter(None, (at["credentialName"].text(""),))),
        subject_alt_names=at["subjectAltNames"].texts(),
        oldest=at["minProtocolVersion"].choice(_VERSIONS, "TLS_AUTO"),
        newest=at["maxProtocolVersion"].choice(_VERSIONS, "TLS_AUTO"),
        ciphers=at["cipherSuites"].texts(),
    )
    if tls.mode == "ISTIO_MUTUAL" and tls.credentials:
        raise at.bad("ISTIO_MUTUAL TLS cannot have associated credentialName: the mesh's own is used")
    if tls.credentials:
        return tls
    if tls.mode in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL") and not (tls.certificate and tls.private_key):
        raise at.bad(f"{tls.mode} TLS requires a server certificate and a private key")
    if tls.mode in ("MUTUAL", "OPTIONAL_MUTUAL") and not tls.ca_certificates:
        raise at["caCertificates"].bad(f"{tls.mode} TLS requires a client CA bundle")
    return tls
