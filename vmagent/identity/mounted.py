"""Keeps this VM in possession of a credential that other tooling puts into files (FILE_MOUNTED_CERTS).

Owns:      the gate ``identity`` and what is published, as keeper.py does where a CA is asked.
Does not:  look at the files (certwatch.py); ask anybody.
Surprise:  whose certificate it is, is not judged: the one who mounts it decides that. What differs from the
           configured name is said, since istiod would refuse it.
"""

import logging

from vmagent.identity.certfiles import Bundle, Pair
from vmagent.identity.certwatch import CertWatch
from vmagent.identity.config import IdentityConfig, MountedFiles
from vmagent.identity.credential import Credential
from vmagent.identity.keeper import Gate, IdentityStatus
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import Clock, rfc3339
from vmagent.runtime.latest import Latest

log = logging.getLogger("cache")


class Mounted:
    """A Part. Publishes what is in the files whenever all of it is good."""

    name = "identity"
    grace = 0.5

    def __init__(
        self,
        config: IdentityConfig,
        credentials: Latest[Credential],
        gate: Gate,
        files: CertWatch,
        *,
        clock: Clock,
    ) -> None:
        assert config.mounted is not None, "made only where certificates are mounted"
        self._config = config
        self._mounted: MountedFiles = config.mounted
        self._credentials = credentials
        self._gate = gate
        self._files = files
        self._clock = clock
        for source in (self._mounted.pair, self._mounted.root):
            files.want(source)

    async def run(self) -> None:
        async for _ in self._files.news.changes():
            self._take()

    async def drain(self) -> None:
        """Nothing is ours."""

    @property
    def status(self) -> IdentityStatus:
        held = self._credentials.value
        return IdentityStatus(
            spiffe=self._config.spiffe,
            not_after=held.not_after if held else None,
            renews_at=None,
            token_expires=None,
            problem=self._problem,
            attempts=0,
            failures=0,
        )

    @property
    def trouble(self) -> str:
        """What is wrong with the files is told by whoever watches them (certwatch.py)."""
        return ""

    @property
    def _problem(self) -> str:
        found = (self._files.found(source) for source in (self._mounted.pair, self._mounted.root))
        return "; ".join(each.problem for each in found if each.problem)

    def _take(self) -> None:
        pair = self._files.found(self._mounted.pair).content
        root = self._files.found(self._mounted.root).content
        if isinstance(pair, Pair) and isinstance(root, Bundle):
            self._publish(pair, root)
            if pair.not_after > self._clock.now():
                self._gate.open()
                return
        if self._problem:
            self._gate.close(self._problem)

    def _publish(self, pair: Pair, root: Bundle) -> None:
        made = Credential(
            spiffe=_parsed(pair.uri) or self._config.spiffe,
            key_pem=pair.pair.key_pem,
            chain_pem=pair.pair.chain_pem,
            root_pem=root.pem,
            not_before=pair.not_before,
            not_after=pair.not_after,
        )
        if made == self._credentials.value:
            return
        if pair.uri != str(self._config.spiffe):
            log.warning(
                "the certificate in %s is for %s; the settings say %s",
                self._mounted.pair.chain,
                pair.uri or "no SPIFFE name",
                self._config.spiffe,
            )
        log.info(
            "workload certificate read from %s\tuntil=%s", self._mounted.pair.chain, rfc3339(made.not_after)
        )
        self._credentials.publish(made)


def _parsed(uri: str) -> SpiffeId | None:
    """Other authorities have other forms of SPIFFE names."""
    try:
        return SpiffeId.parse(uri)
    except ValueError:
        return None
