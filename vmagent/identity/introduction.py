"""Who we say that we are, to the CA and to the control plane: which certificate, and the token beside it.

Owns:      the decision (pure), and where its inputs are read.
Does not:  connect (channel.py); obtain a certificate (keeper.py) or look after files (certwatch.py).
Surprise:  where other tooling's certificate is to be shown and is not fit for it, our own is shown as long as
           it is valid: a certificate that opens the door is better than none.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.errors import Unavailable
from vmagent.identity import token, trust
from vmagent.identity.certfiles import Pair
from vmagent.identity.certwatch import CertWatch, Found
from vmagent.identity.channel import Authentication
from vmagent.identity.config import IdentityConfig, Shown
from vmagent.identity.credential import Credential, KeyPair
from vmagent.identity.token import Token
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest

LOOKED_WITHIN: Final = 5.0
"""Seconds for the first look at files; a busy machine takes one for the child that judges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """``pair`` is what is shown, None for nothing; ``doubt`` why it is not what was asked for."""

    pair: KeyPair | None = None
    doubt: str = ""


def decide(shown: Shown, *, held: Credential | None, filed: Found, now: float) -> Certificate:
    """``held`` is our own credential, ``filed`` what the files of ``Shown.FILES`` hold."""
    own = held.pair if held and held.not_after > now else None
    match shown:
        case Shown.NOTHING:
            return Certificate()
        case Shown.OWN:
            return Certificate(pair=own)
        case Shown.FILES:
            content = filed.content
            if isinstance(content, Pair) and content.not_after > now:
                return Certificate(pair=content.pair, doubt=filed.problem)
            return Certificate(pair=own, doubt=filed.problem)


class Introduction:
    """Reads afresh, so that a repaired file heals without a restart."""

    def __init__(
        self, config: IdentityConfig, credentials: Latest[Credential], files: CertWatch, *, clock: Clock
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._files = files
        self._clock = clock
        if config.client_files:
            files.want(config.client_files, optional=True)

    @property
    def looked(self) -> bool:
        """Whether the files that may have to be shown have been looked at."""
        files = self._config.client_files
        return files is None or self._files.found(files).looked

    async def wait_for_look(self) -> None:
        """At most a few seconds: what is not known then is not shown."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self.looked else LOOKED_WITHIN):
                async for _ in self._files.news.changes():
                    if self.looked:
                        return

    @property
    def doubt(self) -> str:
        """What is wrong with files that are to be shown, or are our own; empty for nothing."""
        mounted = self._config.mounted
        sources = [self._config.client_files, *((mounted.pair, mounted.root) if mounted else ())]
        problems = (self._files.found(source).problem for source in sources if source)
        return "; ".join(filter(None, problems))

    def token(self) -> Token:
        return token.read(self._config.token, wanted=self._config.spiffe, now=self._clock.now())

    def certificate(self) -> Certificate:
        files = self._config.client_files
        return decide(
            self._config.shown,
            held=self._credentials.value,
            filed=self._files.found(files) if files else Found(),
            now=self._clock.now(),
        )

    def authentication(self, *, tls: bool, root_cert: Path | None) -> Authentication:
        """For one attempt at the control plane. Raises Misconfigured for a root that will not do, Unavailable
        while what we have to show would lead to a refusal: the gate ``identity`` then says what is wrong.
        """
        if not tls:
            return Authentication(roots=None)
        roots = trust.read(root_cert)
        if not self.looked:
            raise Unavailable(f"waits for a first look at {self._config.client_files}")
        introduced, certificate = self.token(), self.certificate()
        alone = self._config.shown is Shown.NOTHING
        if certificate.pair is None and (introduced.hopeless if alone else introduced.problem):
            doubt = f" ({certificate.doubt})" if certificate.doubt else ""
            waits = introduced.problem if alone else f"{_WAITS}{doubt}"
            raise Unavailable(waits, hint=introduced.hint if alone else "")
        return Authentication(
            roots=roots,
            token="" if introduced.hopeless else introduced.text,
            pair=certificate.pair,
            doubt="; ".join(filter(None, (introduced.problem, certificate.doubt))),
        )


_WAITS: Final = "waits for a certificate, without which the control plane would not know us"
