"""Why an Envoy ended, as the sentence for log and gate.

Owns:      finding what may have ended it, while the evidence is fresh.
Does not:  decide what happens next (supervisor.py); know an exit status (process.py).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from vmagent.envoy import complaint
from vmagent.envoy.admin import Admin
from vmagent.envoy.arguments import environment
from vmagent.envoy.config import EnvoyConfig
from vmagent.runtime import holder

AT_ONCE: Final = 5.0
"""Seconds. An Envoy that lived for less has most likely found something that it could not use."""

LATER: Final = "a crash has left its trace above; of memory that ran out tells journalctl -k | grep -i oom"

Check = Callable[[Sequence[str], Mapping[str, str]], Awaitable[str]]
"""Takes command line and environment; what Envoy prints when it only has to check them."""


async def epitaph(
    config: EnvoyConfig, argv: Sequence[str], lived: float, *, admin: Admin, check: Check
) -> str:
    """``lived`` in seconds; ``argv`` is empty for one that an earlier agent started."""
    why = await _suspect(config, argv, admin, check) if lived < AT_ONCE else LATER
    return f"Envoy ended after {lived:.1f} s; {why}"


async def _suspect(config: EnvoyConfig, argv: Sequence[str], admin: Admin, check: Check) -> str:
    taken = [
        f"port {port} ({await holder.found(port)})"
        for port in sorted(config.ports.envoys)
        if await admin.listening(port)
    ]
    if taken:
        return f"in use by others: {', '.join(taken)}"
    said = await check(argv, environment(config)) if argv else ""
    return complaint.sentence(said, config.binary) or "its log says why"
