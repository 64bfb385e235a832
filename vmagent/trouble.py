"""What is wrong now although the agent serves: a part of the composition, beside agent.py.

Owns:      one sentence for each part that is in trouble, where it goes (gate, log, status), and that it is
           said once.
Does not:  know why (the parts do).
"""

import logging
from collections.abc import Callable

from vmagent import wiring
from vmagent.config.model import Config
from vmagent.errors import Refused, VmagentError
from vmagent.runtime.readiness import Readiness

log = logging.getLogger("agent")


class Trouble:
    """``now``: part to what is wrong with it, empty for nothing. ``heard`` is told of each attempt at the
    control plane, as ``upstream`` is.
    """

    def __init__(
        self,
        config: Config,
        gates: Readiness,
        *,
        remarks: str,
        heard: Callable[[VmagentError | None], None],
    ) -> None:
        self._config = config
        self._gates = gates
        self._heard = heard
        self.now: dict[str, str] = {"config": remarks}

    def sockets(self, why: str) -> None:
        if why and why != self.now.get("sockets"):
            log.warning("%s", why)
        self.now["sockets"] = why

    def upstream(self, problem: VmagentError | None) -> None:
        """What came of an attempt to reach the control plane; None: it said something."""
        self._heard(problem)
        why = self._explained(problem) if problem else ""
        if why == self.now.get("xds", ""):
            return
        self.now["xds"] = why
        if not problem:
            return
        if self._gates.is_open("xds"):
            log.warning("%s; Envoy keeps what it has", why)
        else:
            self._gates.close("xds", why)

    def _explained(self, problem: VmagentError) -> str:
        hint = problem.hint or (wiring.expected(self._config) if isinstance(problem, Refused) else "")
        return f"{problem}; {hint}" if hint else str(problem)
