"""root-cert.pem beside our certificate: ours to write, an operator's to edit.

Owns:      reading it for what he added, and one line in the log when it cannot be used.
Does not:  decide what counts (anchors.py); write it (store.py does, with the certificate).
"""

import logging
from dataclasses import replace
from pathlib import Path

from vmagent.errors import Misconfigured
from vmagent.identity import anchors, filewatch, store, trust
from vmagent.identity.credential import Credential
from vmagent.runtime.clock import Clock

log = logging.getLogger("cache")


class RootFile:
    """``directory``: where the certificate is kept; None: nowhere, and then nobody can add anything."""

    def __init__(self, directory: Path | None, *, clock: Clock) -> None:
        self._path = directory / store.ROOT if directory else None
        self._paths = (self._path,) if self._path else ()
        self._clock = clock
        self._seen = filewatch.look(self._paths)
        self._said = ""

    async def edited(self, *, within: float) -> bool:
        """True as soon as the file is another one than when we looked last; False after so many seconds."""
        return await filewatch.changed(self._paths, self._seen, within=within, clock=self._clock)

    @property
    def untouched(self) -> bool:
        """Since we looked last."""
        return filewatch.look(self._paths) == self._seen

    def written(self, roots: bytes) -> None:
        """We have put ``roots`` there. What somebody put there since is still to be noticed."""
        look = filewatch.look(self._paths)
        if self._path is not None and self._read(self._path) == roots:
            self._seen = look

    def joined(self, credential: Credential, held: Credential | None) -> Credential:
        """``credential`` with what an operator added to the roots while we held ``held``."""
        self._seen = filewatch.look(self._paths)
        if held is None or self._path is None:
            return credential
        from_ca = anchors.of_ca(credential.root_pem, credential.chain_pem)
        roots = anchors.trusted(from_ca, self._read(self._path), held.chain_pem)
        return credential if roots == credential.root_pem else replace(credential, root_pem=roots)

    def _read(self, path: Path) -> bytes:
        """Empty if it is not fit for use: what we hold stays, whatever becomes of the file."""
        try:
            pem, why = trust.read(path).pem, ""
        except Misconfigured as problem:
            pem, why = b"", str(problem)
        if why and why != self._said:
            log.warning("%s; the roots that we have stay", why)
        self._said = why
        return pem
