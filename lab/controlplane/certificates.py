"""istio.v1.auth.IstioCertificateService: CSRs in, chains out.

Owns:      gRPC statuses and lifetimes. Signing is ``authority.py``'s, identities are ``authentication.py``'s.
"""

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from lab.controlplane._pb import ca_pb2
from lab.controlplane.authentication import AuthenticationFailed, Authenticator
from lab.controlplane.authority import Authority, SigningRefused
from lab.controlplane.faults import Faults
from lab.controlplane.front import Peer
from lab.controlplane.timestamps import SECOND

log = logging.getLogger("ca")

EXPIRED_SINCE: Final = datetime.timedelta(hours=1)
"""How long a certificate that is to be expired already is."""

SERVICE = "istio.v1.auth.IstioCertificateService"

Context = grpc.aio.ServicerContext[ca_pb2.IstioCertificateRequest, ca_pb2.IstioCertificateResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Seconds."""

    default: float
    most: float

    def granted(self, asked: int) -> float:
        """Nothing or a negative number asks for the default. Raises SigningRefused beyond the most."""
        if asked > self.most:
            raise SigningRefused(f"requested TTL {asked}s is greater than the max allowed TTL {self.most:g}s")
        return float(asked) if asked > 0 else self.default


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateService:
    authority: Authority
    authenticator: Authenticator
    lifetimes: Lifetimes
    faults: Faults
    peer: Callable[[str], Peer | None]
    now: Callable[[], int]

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        method = grpc.unary_unary_rpc_method_handler(
            self.create_certificate,
            request_deserializer=ca_pb2.IstioCertificateRequest.FromString,
            response_serializer=ca_pb2.IstioCertificateResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"CreateCertificate": method})

    async def create_certificate(
        self, request: ca_pb2.IstioCertificateRequest, context: Context
    ) -> ca_pb2.IstioCertificateResponse:
        metadata = context.invocation_metadata() or ()
        try:
            caller = self.authenticator.authenticate(self.peer(context.peer()), metadata)
        except AuthenticationFailed:
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, "request authenticate failure")
        if request.metadata.fields["ImpersonatedIdentity"].string_value:
            # istiod lets only the node proxies of an ambient mesh ask in somebody else's name.
            await _abort(
                context, grpc.StatusCode.UNAUTHENTICATED, "request impersonation authentication failure"
            )
        await self.faults.before_answer()
        now = datetime.datetime.fromtimestamp(self.now() / SECOND, datetime.UTC)
        try:
            ttl = self.lifetimes.granted(request.validity_duration)
            if self.faults.certificate_ttl is not None:
                ttl = self.faults.certificate_ttl
            if self.faults.expired_certificates:
                now -= datetime.timedelta(seconds=ttl) + EXPIRED_SINCE
            chain = self.authority.sign(
                request.csr, identity=str(caller.identity), ttl=datetime.timedelta(seconds=ttl), now=now
            )
        except SigningRefused as why:
            log.warning("refused a CSR\tidentity=%s\treason=%s", caller.identity, why)
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"CSR signing error ({why})")
        log.info("issued a certificate\tidentity=%s\tttl=%gs\tby=%s", caller.identity, ttl, caller.by)
        return ca_pb2.IstioCertificateResponse(cert_chain=chain)


async def _abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort returned")
