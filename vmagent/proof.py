"""What this machine proves itself with, put together: a part of the composition, beside agent.py.

Owns:      which of the two ways to a credential is taken, from the CA or from mounted files, and who shares
           the files that are watched.
Does not:  do the work of any of them (the rooms identity and sds).
"""

from typing import Final

from vmagent import wiring
from vmagent.config.model import Config
from vmagent.identity import filewatch
from vmagent.identity.certwatch import CertWatch
from vmagent.identity.channel import Authentication
from vmagent.identity.credential import Credential
from vmagent.identity.introduction import Introduction
from vmagent.identity.keeper import Gate, Keeper
from vmagent.identity.mounted import Mounted
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Part
from vmagent.runtime.readiness import Readiness
from vmagent.sds.files import FileSecrets

LONGEST: Final = 3600.0
"""Seconds of one wait for files to change; then the next begins."""


class Proof:
    """``credentials`` moves with each new certificate of our own, ``files.news`` with those of others."""

    def __init__(self, config: Config, gates: Readiness, *, clock: Clock) -> None:
        identity = wiring.identity(config)
        gate = Gate(open=lambda: gates.open("identity"), close=lambda why: gates.close("identity", why))
        self._clock = clock
        self._istiod = config.control_plane.xds
        self._token, self._ca_root = identity.token, identity.root_cert
        self.credentials: Latest[Credential] = Latest()
        self.files = CertWatch(clock=clock)
        self.secrets = FileSecrets(self.files, base=config.credentials.base)
        self.introduction = Introduction(identity, self.credentials, self.files, clock=clock)
        self.keeper: Keeper | Mounted
        if identity.mounted:
            self.keeper = Mounted(identity, self.credentials, gate, self.files, clock=clock)
        else:
            self.keeper = Keeper(identity, self.credentials, gate, self.introduction, clock=clock)

    @property
    def parts(self) -> list[Part]:
        return [self.files, self.keeper]

    async def mended(self) -> None:
        """Returns when the token or a root has become another file, or can be read now: within a second."""
        inputs = (self._token, *filter(None, {self._istiod.root_cert, self._ca_root}))
        before = filewatch.look(inputs)
        while not await filewatch.changed(inputs, before, within=LONGEST, clock=self._clock):
            pass

    def authenticate(self) -> Authentication:
        """For one attempt at istiod; raises as ``Introduction.authentication``."""
        return self.introduction.authentication(tls=self._istiod.tls, root_cert=self._istiod.root_cert)
