"""Why an Envoy ended, as the sentence for log and gate.

Owns:      finding what may have ended it, while the evidence is fresh.
Does not:  decide what happens next (supervisor.py).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from vmagent.envoy import complaint
from vmagent.envoy.admin import Admin
from vmagent.envoy.arguments import environment
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.process import explain
from vmagent.runtime import holder

AT_ONCE: Final = 5.0
"""Seconds. An Envoy that lived for less has most likely found something that it could not use."""

Check = Callable[[Sequence[str], Mapping[str, str]], Awaitable[str]]
"""Takes command line and environment; what Envoy prints when it only has to check them."""


async def epitaph(
    config: EnvoyConfig, argv: Sequence[str], code: int, lived: float, *, admin: Admin, check: Check
) -> str:
    """``code`` as ``Child.wait`` gives it, ``lived`` in seconds."""
    why = f"; {await _suspect(config, argv, code, admin, check)}" if lived < AT_ONCE else ""
    return f"Envoy ended after {lived:.1f} s ({explain(code)}){why}"


async def _suspect(config: EnvoyConfig, argv: Sequence[str], code: int, admin: Admin, check: Check) -> str:
    taken = [
        f"port {port} ({await holder.found(port)})"
        for port in sorted(config.ports.envoys)
        if await admin.listening(port)
    ]
    if taken:
        return f"in use by others: {', '.join(taken)}"
    said = await check(argv, environment(config)) if code > 0 else ""
    return complaint.sentence(said, config.binary) or "its log says why"
