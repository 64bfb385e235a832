"""The secrets that are files, as many streams want them: which there are, and what is wrong with which.

Owns:      the way from a name to what the file holds, and the account for status and metrics.
Does not:  read or judge files (identity's CertWatch), or know a stream.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vmagent.errors import Refused as TooMany
from vmagent.identity.certfiles import Pair
from vmagent.identity.certsource import Source
from vmagent.identity.certwatch import CertWatch, Found
from vmagent.runtime.clock import rfc3339
from vmagent.runtime.latest import Latest
from vmagent.sds import names

log = logging.getLogger("sds")

SHOWN: Final = 5
"""Troubles that one line of the status names; the log has all."""


class FileSecrets:
    """``want`` and ``release`` come in pairs, for every name that is not ours."""

    def __init__(self, watch: CertWatch, *, base: Path) -> None:
        self._watch = watch
        self._base = base
        self._sources: dict[str, Source] = {}
        self._refused: dict[str, str] = {}
        self._users: Counter[str] = Counter()

    @property
    def news(self) -> Latest[int]:
        return self._watch.news

    def want(self, name: str) -> None:
        self._users[name] += 1
        if self._users[name] > 1:
            return
        try:
            source = names.source(name, self._base)
            self._watch.want(source)
        except (names.Refused, TooMany) as why:
            self._refused[name] = str(why)
            log.warning("SDS: %s", why)
        else:
            self._sources[name] = source

    def release(self, name: str) -> None:
        self._users[name] -= 1
        if self._users[name]:
            return
        del self._users[name]
        self._refused.pop(name, None)
        if source := self._sources.pop(name, None):
            self._watch.release(source)

    def found(self, name: str) -> Found:
        """Of a name that is wanted."""
        if name in self._refused:
            return Found(problem=self._refused[name])
        return self._watch.found(self._sources[name])

    @property
    def expiries(self) -> dict[str, float]:
        """Name of each certificate that is served to when it expires, epoch seconds."""
        held = tuple(self._sources.items())  # whole: the threads of the status port ask, too
        contents = {name: self._watch.found(source).content for name, source in held}
        return {name: found.not_after for name, found in contents.items() if isinstance(found, Pair)}

    @property
    def failures(self) -> int:
        """Looks that found something wrong, so far."""
        return self._watch.failures

    @property
    def summary(self) -> str:
        """What is served from files, for a person; empty for nothing."""
        served = sum(self._watch.found(source).content is not None for source in self._sources.values())
        if not served:
            return ""
        expiries = self.expiries.values()
        until = f", the first certificate expires at {rfc3339(min(expiries))}" if expiries else ""
        return f"{served} from files{until}"

    @property
    def trouble(self) -> str:
        """What is wrong with secrets that somebody wants; empty for nothing."""
        found = {source: self._watch.found(source).problem for source in self._sources.values()}
        told = [*filter(None, found.values()), *self._refused.values()]
        return _some(dict.fromkeys(told))


def _some(told: Iterable[str]) -> str:
    listed = list(told)
    more = f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return "; ".join(listed[:SHOWN]) + more
