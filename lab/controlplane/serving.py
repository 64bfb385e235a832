"""Our own certificate for TLS, made anew at every start."""

import datetime
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.controlplane import disk
from lab.controlplane.authority import SERVING_LIFETIME, Authority
from lab.controlplane.front import server_context

_EXPIRED_SINCE: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    authority: Authority
    state: Path
    names: tuple[str, ...]
    """Beside istiod's own."""
    now: Callable[[], datetime.datetime]

    def context(self, expired: bool = False) -> ssl.SSLContext:
        now = self.now() - (SERVING_LIFETIME + _EXPIRED_SINCE if expired else datetime.timedelta())
        key, chain = self.authority.serving_certificate(self.names, now)
        paths = (self.state / "serving-key.pem", self.state / "serving-chain.pem")
        disk.write(paths[0], key, mode=0o600)
        disk.write(paths[1], chain, mode=0o644)
        return server_context(chain=paths[1], key=paths[0], root_pem=self.authority.root_pem)
