"""One answer made of the agent's metrics, Envoy's and the application's.

Owns:      who is asked, for how long, and what happens to a source that fails: it is left out, counted, and
           named in the log when it begins and ends to fail. A scrape itself never fails.
Does not:  know HTTP towards the scraper (endpoint.py), or the rules of joining (merge.py).
"""

import logging
import math
import string
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

from vmagent.errors import Unavailable, VmagentError
from vmagent.status import accept, catalogue, exposition, process, translate
from vmagent.status.exposition import Family, Format, Metric
from vmagent.status.fetch import Fetch, Found, Target
from vmagent.status.merge import merge

log = logging.getLogger("status")

PATIENCE: Final = 5.0
"""Seconds for all sources together if the scraper does not say how long it waits; half of what Prometheus
does.
"""

LONGEST: Final = 60.0
"""Seconds, whatever the scraper says."""

SHARE: Final = 0.8
"""Of the time that the scraper waits; the rest is for joining and sending: an answer without the slow source
is better than none.
"""

LARGEST_APPLICATION: Final = 10 * 1024 * 1024
"""Bytes, as in Istio's agent for several targets."""

LARGEST_ENVOY: Final = 64 * 1024 * 1024
"""Bytes. Ten thousand clusters with every statistic on; with Istio's matcher it is some hundred KB."""

_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """``envoy``: port of Envoy's Prometheus listener, 0: not merged. ``applications``: port and path."""

    envoy: int = 0
    applications: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    form: Format
    pieces: list[bytes]


class Headers(Protocol):
    """The scraper's, whose case does not matter: HTTP/2 and Envoy write them in lower case."""

    def get(self, name: str, default: str, /) -> str: ...


class Scraper:
    """May be used by any number of threads. ``facts`` gives the agent's own metrics; if it raises a
    VmagentError or an OSError, they are left out.
    """

    def __init__(
        self, sources: Sources, facts: Callable[[], Sequence[Metric]], now: Callable[[], float]
    ) -> None:
        self._sources = sources
        self._facts = facts
        self._now = now
        self._lock = threading.Lock()
        self._total = 0
        self._failures = {"envoy": 0, "application": 0, "agent": 0}
        self._said: dict[str, str] = {}

    def scrape(self, headers: Headers, query: str) -> Answer:
        """``headers`` and ``query`` are the scraper's; Envoy's statistics understand the latter."""
        with self._lock:
            self._total += 1
        deadline = self._now() + patience(headers.get(_TIMEOUT, ""))
        openmetrics = not self._sources.envoy and accept.reads_openmetrics(headers.get("Accept", ""))
        asked = list(self._ask(headers, query, openmetrics, deadline))
        found = [(kind, name, self._result(kind, name, fetch, deadline)) for kind, name, fetch in asked]
        sources = [(kind, name, one) for kind, name, one in found if one is not None]
        whole = openmetrics and all(one.form is Format.OPENMETRICS for _, _, one in sources)
        form = Format.OPENMETRICS if whole else Format.TEXT
        families = [self._in(form, kind, name, one) for kind, name, one in sources]
        merged = merge((self._own(form), *families))
        for number, (kind, name, _) in enumerate(sources, start=1):
            self._judge(kind, f"a part of {name}", merged.conflicts.get(number, ()))
        return Answer(form, list(exposition.render(merged.families, form)))

    # --- the others -----------------------------------------------------------------------------------------

    def _ask(
        self, headers: Headers, query: str, openmetrics: bool, deadline: float
    ) -> Iterator[tuple[str, str, Fetch]]:
        """All at once: they answer beside one another."""
        passed = {
            "User-Agent": " ".join(headers.get("User-Agent", "").split()) or "istio-agent",
            _TIMEOUT: f"{max(0.0, deadline - self._now()):.3f}",
        }
        if self._sources.envoy:
            path = f"/stats/prometheus{f'?{_ascii(query)}' if query else ''}"
            target = Target(port=self._sources.envoy, path=path, limit=LARGEST_ENVOY)
            yield "envoy", "Envoy", Fetch(target, passed | {"Accept": accept.asking(openmetrics=False)})
        for port, path in self._sources.applications:
            target = Target(port=port, path=path, limit=LARGEST_APPLICATION)
            asking = {"Accept": accept.asking(openmetrics=openmetrics)}
            yield "application", f"the application on port {port}{path}", Fetch(target, passed | asking)

    def _result(self, kind: str, name: str, fetch: Fetch, deadline: float) -> Found | None:
        try:
            found = fetch.result(deadline - self._now())
        except Unavailable as why:
            self._failed(kind, name, f"{name} is left out: {why}")
            return None
        self._works(name)
        return found

    def _in(self, form: Format, kind: str, name: str, found: Found) -> Iterable[Family]:
        """Nothing, for a source whose text cannot be said in that form: it costs the others nothing."""
        if found.form is form:
            return found.families
        try:
            made = list(translate.as_text(found.families))
        except Exception as bug:  # noqa: BLE001  # told in a line; its place is the one line above
            self._failed(kind, f"the text of {name}", f"{name} is left out: {type(bug).__name__}: {bug}")
            return ()
        self._works(f"the text of {name}")
        return made

    def _judge(self, kind: str, name: str, conflicts: Sequence[str]) -> None:
        if conflicts:
            more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
            self._failed(kind, name, f"{name} is left out: {conflicts[0]}{more}")
        else:
            self._works(name)

    # --- ourselves ------------------------------------------------------------------------------------------

    def _own(self, form: Format) -> Iterable[Family]:
        made: list[Metric] = []
        for name, part in (("the agent", self._facts), ("the process", _process)):
            try:
                made += part()
            except (VmagentError, OSError) as why:
                self._failed("agent", name, f"{name} is left out: {why}")
            else:
                self._works(name)
        with self._lock:
            seen = catalogue.ScrapeReadings(total=self._total, failures=dict(self._failures))
        return exposition.families((*made, *catalogue.scrapes(seen)), form)

    def _failed(self, kind: str, name: str, sentence: str) -> None:
        with self._lock:
            self._failures[kind] += 1
            news = self._said.get(name) != sentence
            self._said[name] = sentence
        if news:
            log.warning("metrics: %s", sentence)

    def _works(self, name: str) -> None:
        with self._lock:
            news = self._said.pop(name, "")
        if news:
            log.info("metrics: %s is there again", name)


def patience(said: str) -> float:
    """Seconds that all sources have together. What is no time is not believed."""
    try:
        seconds = float(said)
    except ValueError:
        return PATIENCE
    return min(seconds * SHARE, LONGEST) if math.isfinite(seconds) and seconds > 0 else PATIENCE


def _ascii(query: str) -> str:
    """As it may stand in a request: bytes beyond ASCII, which http.server reads as Latin-1, are encoded."""
    return quote(query, safe=string.punctuation, encoding="latin-1", errors="replace")


def _process() -> list[Metric]:
    return catalogue.process(process.read())
