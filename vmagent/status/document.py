"""The status document: one JSON file that any local user may read, and one screen made of it.

Owns:      the shape of ``/run/istio-agent/status.json`` and how it reads on a terminal.
Does not:  know any part of the agent; agent.py hands over facts. Holds no secret, so it is world-readable.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from vmagent.errors import Unavailable
from vmagent.runtime import files
from vmagent.runtime.clock import LATEST, rfc3339
from vmagent.runtime.plain import one_line, plain

FILE = "status.json"

SIDECAR, ROUTER = "sidecar", "router"

LARGEST: Final = 1 << 20
"""Bytes: a thousand times what it usually has."""

MOST_REFUSED: Final = 20
"""Refusals that are told one by one: one policy refuses every listener of a mesh, for one reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything the agent knows about itself at one moment. Times are seconds since the epoch."""

    version: str
    pid: int
    started: float
    node: str
    role: str = SIDECAR
    gates: Mapping[str, str]
    """Gate name to ``open`` or the reason it is not, in start order."""
    certificate: str = ""
    """SPIFFE name, empty before the first certificate."""
    certificate_expires: float = 0.0
    secrets: str = ""
    """What Envoy is served from files, in a sentence; empty for nothing."""
    control_plane: str = ""
    control_plane_connected: bool = False
    stale: str = ""
    """That what the control plane said before the last start is served, and how old it is; empty if not."""
    trouble: Mapping[str, str] = field(default_factory=dict)
    """Part name to what is wrong with it now although its gate may be open (a lost control plane, say)."""
    xds_versions: Mapping[str, str] = field(default_factory=dict)
    taken_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Extension that this Envoy lacks and does without, to the types of resources it was in."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Resource that this Envoy cannot have, to the reason."""
    envoy: str = ""
    dns: str = ""
    health: str = ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def ready(document: Mapping[str, Any]) -> bool:
    return all(state == "open" for state in document["gates"].values())


def is_router(document: Mapping[str, Any]) -> bool:
    return document.get("role") == ROUTER


def few(refused: Mapping[str, str]) -> dict[str, str]:
    """The first of them, and how many more there are."""
    more = len(refused) - MOST_REFUSED
    told = dict(islice(refused.items(), MOST_REFUSED))
    return {**told, f"{more} more": "as these"} if more > 0 else told


def write(directory: Path, facts: Facts) -> bool:
    """False if there was no room for it: the log says so, the old one stays."""
    text = json.dumps(asdict(facts), indent=1).encode() + b"\n"
    return files.publish(directory / FILE, text, mode=0o644)


def read(directory: Path) -> dict[str, Any] | None:
    """The document of the agent that runs now, or None if none does. Raises Unavailable if what lies there is
    none: it belongs to the unprivileged user, and root reads it.
    """
    if not files.locked(directory / "lock"):
        return None
    try:
        document: dict[str, Any] = json.loads(files.read_small(directory / FILE, most=LARGEST))
        if not _is_sound(document):
            raise ValueError
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        raise Unavailable(
            f"{directory / FILE} is not what the agent writes", hint="systemctl restart istio-agent"
        ) from None
    return document


_SHAPE: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("version", "certificate", "control_plane", "envoy", "dns", "health"), _is_text),
    "pid": lambda value: isinstance(value, int),
    **dict.fromkeys(("gates", "trouble"), _is_texts),
    "certificate_expires": lambda value: isinstance(value, int | float) and 0 <= value <= LATEST,
    "control_plane_connected": lambda value: isinstance(value, bool),
}
_LATER: Final[Mapping[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("role", "secrets", "stale"), _is_text),
    "refused": _is_texts,
    "taken_out": lambda value: (
        isinstance(value, dict)
        and all(isinstance(kinds, list) and all(map(_is_text, kinds)) for kinds in value.values())
    ),
}
"""What an agent from before an upgrade may not write."""


def _is_sound(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and all(key in document and fits(document[key]) for key, fits in _SHAPE.items())
        and all(fits(document[key]) for key, fits in _LATER.items() if key in document)
    )


def sentence(facts: Facts) -> str:
    """What the agent is doing, in one line: for systemd's STATUS=, where a second one would be another
    variable.
    """
    return one_line(_sentence(facts))


def _sentence(facts: Facts) -> str:
    waiting = {gate: why for gate, why in facts.gates.items() if why != "open"}
    if waiting:
        return "not ready: " + "; ".join(f"{gate} ({why})" for gate, why in waiting.items())
    stale = f"; {facts.stale}" if facts.stale else ""
    trouble = stale + "".join(f"; {part}: {why}" for part, why in facts.trouble.items())
    expires = rfc3339(facts.certificate_expires)
    return f"serving as {facts.certificate}; certificate good until {expires}{trouble}"


def screen(document: Mapping[str, Any], capture: str) -> list[str]:
    """The document as lines for a person: one line a gate, then what is known about each part.

    ``capture`` is ``open``, or why this machine's traffic is not captured.
    """
    verdict = "ready" if ready(document) else "not ready"
    if stale := document.get("stale"):
        verdict = f"{verdict}, {stale}"
    router = is_router(document)
    who = f"istio-agent {document['version']} (pid {document['pid']}{', router' if router else ''})"
    lines = [f"{who}: {verdict}", ""]
    lines += [_gate(gate, state) for gate, state in document["gates"].items()]
    details = {
        "certificate": _certificate(document),
        "secrets": document.get("secrets", ""),  # an agent from before an upgrade has none
        "control plane": _control_plane(document),
        "envoy": document["envoy"],
        "does without": ", ".join(
            f"{extension} ({', '.join(kinds)})" for extension, kinds in document.get("taken_out", {}).items()
        ),
        "dns": document["dns"],
        "application": document["health"],
        "capture": _NOT_CAPTURED if router else _capture(capture),
    }
    lines += ["", *(f"{name:<14} {text}" for name, text in details.items() if text)]
    lines += [f"{'refused':<14} {resource}: {why}" for resource, why in document.get("refused", {}).items()]
    lines += [f"{'trouble':<14} {part}: {why}" for part, why in document["trouble"].items()]
    return [plain(line, _BELOW) for line in lines]


_BELOW: Final = " " * 15
"""In front of a second line of one thing: no line of ours begins so."""


_NOT_CAPTURED: Final = "none: a router has ports of its own, to which its clients connect"


def _capture(gate: str) -> str:
    return "traffic goes through Envoy" if gate == "open" else f"none: {gate}"


def _gate(gate: str, state: str) -> str:
    return f"  open     {gate}" if state == "open" else f"  waiting  {gate:<10} {state}"


def _certificate(document: Mapping[str, Any]) -> str:
    if not document["certificate"]:
        return ""
    return f"{document['certificate']}, good until {rfc3339(document['certificate_expires'])}"


def _control_plane(document: Mapping[str, Any]) -> str:
    if not document["control_plane"]:
        return ""
    state = "connected" if document["control_plane_connected"] else "not connected"
    return f"{document['control_plane']}, {state}"
