"""One attempt at a new certificate: with all that speaks for us, and then with less.

Owns:      the order of what the CA is shown.
Does not:  decide when (keeper.py), or connect (ca_client.py).
Surprise:  less may be more. A certificate that the CA cannot verify ends the handshake before the token is
           looked at; and a CA that looks at the token first refuses an expired one beside a good certificate.
"""

import logging
from collections.abc import Iterator
from typing import Final

from vmagent.errors import Misconfigured, Refused
from vmagent.identity import ca_client, keys, trust
from vmagent.identity.config import IdentityConfig
from vmagent.identity.credential import Credential, KeyPair
from vmagent.identity.introduction import Introduction
from vmagent.identity.token import Token
from vmagent.runtime.clock import Clock

log = logging.getLogger("cache")

NOTHING: Final = Token()


class Obtaining:
    def __init__(self, config: IdentityConfig, introduction: Introduction, *, clock: Clock) -> None:
        self._config = config
        self._introduction = introduction
        self._clock = clock

    async def credential(self) -> Credential:
        """Raises VmagentError with the reason of the first way that was refused, if all were."""
        roots = trust.read(self._config.root_cert) if self._config.tls else None
        await self._introduction.wait_for_look()
        token, certificate = self._introduction.token(), self._introduction.certificate()
        if token.hopeless and certificate.pair is None:
            doubt = f"; {certificate.doubt}" if certificate.doubt else ""
            raise Misconfigured(f"{token.problem}{doubt}", hint=token.hint)
        first: Refused | ca_client.HungUp | None = None
        for pair, shown in _ways(certificate.pair if roots else None, token):
            try:
                return await self._ask(roots, pair, shown)
            except (ca_client.HungUp, Refused) as problem:
                log.debug("refused with%s certificate: %s", "" if pair else "out", problem)
                first = first or problem
        assert first is not None, "there is always one way"
        raise first

    async def _ask(self, roots: trust.Roots | None, pair: KeyPair | None, token: Token) -> Credential:
        """Connects first: while the CA is away, no child is started for nothing."""
        config = self._config
        async with ca_client.connect(config, roots, pair) as ca, keys.signer() as signer:
            csr = await signer.request(config.spiffe, config.key)
            chain = await ca.sign(csr, token)
            return await signer.accept(chain, spiffe=config.spiffe, now=self._clock.now())


def _ways(pair: KeyPair | None, token: Token) -> Iterator[tuple[KeyPair | None, Token]]:
    yield pair, token
    if pair is None:
        return
    if not token.hopeless:
        yield None, token
    if token.text and not token.hopeless and token.problem:
        yield pair, NOTHING
