"""One conversation with an Istio CA: connect, hand over a CSR, get a chain.

Owns:      the gRPC call, its deadline, and the sentence for each way it can fail.
Does not:  make keys or judge certificates (keys.py), decide when to call again (keeper.py).
Surprise:  a new channel for each attempt, never kept: so a repaired root or a new client certificate counts
           at once, and nothing stays in memory for the twelve hours in between.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc
import grpc.aio
from google.protobuf import struct_pb2

from vmagent._pb import wire_pb2 as wire
from vmagent.errors import Refused, Unavailable, VmagentError
from vmagent.identity import channel
from vmagent.identity.answers import REACTIONS, Reaction
from vmagent.identity.config import IdentityConfig
from vmagent.identity.credential import KeyPair
from vmagent.identity.token import Token
from vmagent.identity.trust import Roots

METHOD: Final = "/istio.v1.auth.IstioCertificateService/CreateCertificate"

CONNECT: Final = 5.0
"""Seconds for TCP and TLS. Three SYNs at Linux's pace take 3 s."""

CALL: Final = 10.0
"""Seconds for the answer. istiod signs in milliseconds; one that asks an outside CA takes seconds."""

LONGEST_DETAIL: Final = 300
"""Characters of the peer's own words that go into a message."""


@contextlib.asynccontextmanager
async def connect(
    config: IdentityConfig, roots: Roots | None, pair: KeyPair | None
) -> AsyncIterator["CaClient"]:
    """``roots`` is None exactly where there is no TLS. Raises Unavailable or Misconfigured with the reason
    found."""
    shown = channel.Authentication(roots=roots, pair=pair)
    async with channel.connect(config.ca, shown, [("grpc.primary_user_agent", "vmagent")]) as opened:
        if not await _ready(opened):
            raise await _explained(config, roots)
        yield CaClient(config, opened, roots, certificate=pair is not None)


async def _ready(opened: grpc.aio.Channel) -> bool:
    try:
        async with asyncio.timeout(CONNECT):
            while (state := opened.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    return False
                await opened.wait_for_state_change(state)
    except TimeoutError:
        return False
    return True


class HungUp(Unavailable):
    """The CA is there and we trust it, yet it hung up: it may object to our client certificate."""


async def _explained(config: IdentityConfig, roots: Roots | None, said: str = "") -> VmagentError:
    from vmagent.identity.diagnose import why_unreachable  # with it comes OpenSSL

    found = await why_unreachable("CA", config.ca, roots)
    return found or HungUp(f"CA {config.ca} is there, and broke off the connection{said}")


class CaClient:
    """A connection that is up."""

    def __init__(
        self, config: IdentityConfig, opened: grpc.aio.Channel, roots: Roots | None, *, certificate: bool
    ) -> None:
        self._config = config
        self._channel = opened
        self._roots = roots
        self._certificate = certificate

    async def sign(self, csr: str, token: Token) -> Sequence[str]:
        """The CA's chain: leaf, intermediates, root. Raises Refused or Unavailable."""
        call = self._channel.unary_unary(
            METHOD,
            request_serializer=wire.IstioCertificateRequest.SerializeToString,
            response_deserializer=wire.IstioCertificateResponse.FromString,
        )
        metadata = struct_pb2.Struct()
        metadata.update({"CertSigner": self._config.cert_signer})
        request = wire.IstioCertificateRequest(csr=csr, validity_duration=self._config.ttl, metadata=metadata)
        try:
            answer = await call(request, timeout=CALL, metadata=self._metadata(token))
        except grpc.aio.AioRpcError as error:
            raise await self._refusal(error, token) from None
        if len(answer.cert_chain) < 2:
            count = len(answer.cert_chain)
            raise Refused(f"CA {self._config.ca} sent {count} certificates, which is no chain with a root")
        return list(answer.cert_chain)

    @property
    def _may_send_token(self) -> bool:
        """Not in clear over a network, where Istio's agent does: whoever reads it could be this VM."""
        return self._roots is not None or self._config.ca.loopback

    def _metadata(self, token: Token) -> grpc.aio.Metadata:
        metadata = grpc.aio.Metadata(("clusterid", self._config.cluster_id))
        for key, value in self._config.headers:
            metadata.add(key.lower(), value)
        if token.text and not token.hopeless and self._may_send_token:
            metadata.add("authorization", f"Bearer {token.text}")
        return metadata

    async def _refusal(self, error: grpc.aio.AioRpcError, token: Token) -> VmagentError:
        """By status code, never by text; the CA's own words go along, cut and on one line."""
        code, words = error.code(), " ".join((error.details() or "").split())[:LONGEST_DETAIL]
        said = f"{code.name}: {words}" if words else code.name
        peer = f"CA {self._config.ca}"
        reaction = REACTIONS[code]
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return Refused(f"{peer} answers, but is no CA of Istio ({said})", hint="is CA_ADDR right?")
        if reaction is Reaction.NEW_TOKEN:
            return Refused(f"{peer} does not accept us ({said})" + self._about(token), hint=self._hint(token))
        if reaction is Reaction.GIVE_UP:
            return Refused(
                f"{peer} refuses our request ({said})",
                hint="the CA may not allow the lifetime (SECRET_TTL) or the kind of key that we ask for",
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Unavailable(f"{peer} took the request and gave no answer within {CALL:g} s")
        if code is grpc.StatusCode.UNAVAILABLE:
            return await _explained(self._config, self._roots, f" ({said})")
        return Unavailable(f"{peer} failed ({said})")

    def _about(self, token: Token) -> str:
        if token.problem:
            return f": {token.problem}"
        if not self._may_send_token:
            return f": our token is not sent without TLS over a network (port {self._config.ca.port})"
        shown = "our certificate and the token" if self._certificate else "the token"
        return f", shown {shown} {self._config.token} for {self._config.spiffe}"

    def _hint(self, token: Token) -> str:
        return token.hint or (
            "does the service account exist in that namespace, and is the token from this CA's cluster? "
            "A new one comes from `vmagent entry configure`"
        )
