"""A CA on a real socket, with istiod's manners: it names certificates after the token, and can be made to
misbehave."""

import asyncio
import base64
import json
import time
from dataclasses import dataclass, field

import grpc
import grpc.aio
from cryptography import x509

from lab.controlplane._pb import ca_pb2 as wire
from tests.authority import Authority

SERVER_NAME = "istiod.istio-system.svc"


@dataclass(kw_only=True)
class CertificateServer:
    """``port`` is 0 until ``start``; stopping and starting again keeps it."""

    authority: Authority = field(default_factory=Authority)
    name: str = SERVER_NAME
    life: float = 3600.0
    tls: bool = True
    port: int = 0
    refusal: tuple[grpc.StatusCode, str] | None = None
    chain: list[str] | None = None
    hang: bool = False
    subject: str = ""
    trusts: str = ""
    """Whose certificate (the subject it has) is enough, as long as no token comes along that is not."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[dict[str, str]] = field(default_factory=list)
    requests: list[wire.IstioCertificateRequest] = field(default_factory=list)
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(
            self._create,
            request_deserializer=wire.IstioCertificateRequest.FromString,
            response_serializer=wire.IstioCertificateResponse.SerializeToString,
        )
        service = "istio.v1.auth.IstioCertificateService"
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"CreateCertificate": handler}),)
        )
        address = f"127.0.0.1:{self.port}"
        if self.tls:
            key, chain = self.authority.server(x509.DNSName(self.name))
            self.port = server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)]))
        else:
            self.port = server.add_insecure_port(address)
        await server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _create(
        self,
        request: wire.IstioCertificateRequest,
        context: grpc.aio.ServicerContext[wire.IstioCertificateRequest, wire.IstioCertificateResponse],
    ) -> wire.IstioCertificateResponse:
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        self.calls.append(metadata)
        self.requests.append(request)
        self.asked.set()
        if self.hang:
            await asyncio.sleep(3600)
        if self.refusal is not None:
            await context.abort(*self.refusal)
        subject = self._subject(metadata.get("authorization", ""))
        if subject is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure")
        chain = self.chain
        if chain is None:
            chain = self.authority.sign(request.csr, f"spiffe://cluster.local/{subject}", life=self.life)
        return wire.IstioCertificateResponse(cert_chain=chain)

    def _subject(self, authorization: str) -> str | None:
        if self.trusts and not authorization:
            return self.trusts
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or token.count(".") != 2:
            return None
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if "istio-ca" not in claims["aud"] or claims["exp"] < time.time():
            return None
        if self.subject:
            return self.subject
        namespace, account = claims["sub"].split(":")[2:]
        return f"ns/{namespace}/sa/{account}"
