"""In which order the resolvers are asked: that of resolv.conf, the ones known to be dead last."""

import logging
from typing import Final

from vmagent.dns.resolvconf import Server

log = logging.getLogger("dns")

SET_BACK: Final = 30.0
"""Seconds that a silent server is asked last. Then one question pays HEDGE to see whether it is back."""
REMEMBERED: Final = 64
"""Servers: resolv.conf may change for ever, memory of it may not grow for ever."""


class Preference:
    def __init__(self) -> None:
        self._back_until: dict[Server, float] = {}
        self._turn = 0

    def order(self, servers: tuple[Server, ...], now: float, *, rotate: bool) -> tuple[Server, ...]:
        """``rotate``: another server begins each time, as the option of resolv.conf asks."""
        if rotate:
            self._turn = (self._turn + 1) % len(servers)
            servers = servers[self._turn :] + servers[: self._turn]
        if not self._back_until:
            return servers
        return tuple(sorted(servers, key=lambda server: self._back_until.get(server, 0.0) > now))

    def silent(self, server: Server, now: float) -> None:
        if server not in self._back_until:
            log.warning("resolver %s does not answer; it is asked last for %g s", server, SET_BACK)
            if len(self._back_until) >= REMEMBERED:
                self._back_until.clear()
        self._back_until[server] = now + SET_BACK

    def heard(self, server: Server) -> None:
        if self._back_until.pop(server, None) is not None:
            log.info("resolver %s answers again", server)
