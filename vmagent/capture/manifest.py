"""What we wrote on this machine: the one thing removal believes.

Written before the first change (``writing``) and completed after the last (``applied``), so that a kill
between any two steps leaves a manifest that covers everything that may be there. It lies in a directory
only root can write: the paths in it are run as root.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from vmagent.capture.flavour import Tools
from vmagent.capture.rule import FAMILIES, Family
from vmagent.errors import Unavailable
from vmagent.runtime import files
from vmagent.runtime.places import CAPTURE_RUN

log = logging.getLogger("capture")

DIRECTORY: Final = CAPTURE_RUN
VERSION: Final = 1

State = Literal["writing", "applied"]
Rules = Mapping[str, Mapping[str, tuple[str, ...]]]
"""table → chain → rules as iptables-save prints them; of built-in chains only ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One family."""

    plan: str
    """What was asked for, as restore text."""
    chains: Mapping[str, tuple[str, ...]]
    """table → our chains; while a change is under way, those of before and after."""
    rules: Rules
    """Empty until ``applied``."""
    found: Mapping[str, tuple[str, ...]]
    """table → base chains that stood there before our first write (nf_tables only); a missing table was
    made by us.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    state: State
    tools: Tools
    families: Mapping[Family, Written]
    passthrough6: bool
    """We added ::6/128 to lo."""
    hold: str
    """How connection tracking is held (conntrack.py)."""
    outbound_port: int
    """Where Envoy accepts captured connections: whoever wants to know if it lives asks there."""


def load(directory: Path) -> Manifest | None:
    """None if there is none. One that cannot be read counts as none, and the log says so: removal then goes
    by tag.
    """
    path = directory / "manifest.json"
    try:
        data = json.loads(path.read_bytes())
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']}")
        return _decode(data)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        log.warning("%s cannot be read (%s); rules are recognised by their comments instead", path, why)
        return None


def store(directory: Path, manifest: Manifest) -> None:
    """World-readable: it holds no secret, and ``capture show`` needs no root. Raises Unavailable if it cannot
    be written, as on a full disk; what was there before is there still.
    """
    path = directory / "manifest.json"
    text = json.dumps(encode(manifest), indent=1)
    try:
        files.directory(directory, mode=0o755)
        files.write(path, text.encode() + b"\n", mode=0o644)
    except OSError as why:
        raise Unavailable(f"{path} cannot be written: {why.strerror}", hint=f"df {directory}") from why


def forget(directory: Path) -> None:
    files.remove(directory / "manifest.json")


def encode(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": VERSION,
        "state": manifest.state,
        "tools": manifest.tools.to_json(),
        "passthrough6": manifest.passthrough6,
        "hold": manifest.hold,
        "outbound_port": manifest.outbound_port,
        "families": {
            family: {
                "plan": written.plan,
                "chains": written.chains,
                "rules": written.rules,
                "found": written.found,
            }
            for family, written in manifest.families.items()
        },
    }


def _decode(data: Any) -> Manifest:
    return Manifest(
        state="applied" if data["state"] == "applied" else "writing",
        tools=Tools.from_json(data["tools"]),
        passthrough6=bool(data["passthrough6"]),
        hold=str(data["hold"]),
        outbound_port=int(data["outbound_port"]),
        families={
            family: Written(
                plan=entry["plan"],
                chains=_lists(entry["chains"]),
                rules={table: _lists(chains) for table, chains in entry["rules"].items()},
                found=_lists(entry["found"]),
            )
            for family in FAMILIES
            if (entry := data["families"].get(family)) is not None
        },
    )


def _lists(value: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(items) for key, items in value.items()}
