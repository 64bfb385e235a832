"""Takes back what the manifest says was written. Needs no settings, and works from any half-done state.

Order: traffic goes direct first (nat), then zones, then what we made empty, the manifest last: a kill
anywhere between leaves enough to do it again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.capture import backend, conntrack, diff, flavour, locking, loopback, manifest
from vmagent.capture.backend import Backend
from vmagent.capture.flavour import Tools
from vmagent.capture.manifest import Manifest, Written
from vmagent.capture.rule import FAMILIES, Family
from vmagent.errors import Misconfigured
from vmagent.runtime import files

log = logging.getLogger("capture")

CHANGE_WAIT: Final = 30.0
"""Seconds to wait for another apply or remove; each takes well under one."""

Step = Callable[[str], None]
"""Told the name of each step before it is done. Tests die there."""


def unobserved(step: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    changed: bool
    notes: tuple[str, ...] = ()


def change_lock(directory: Path) -> Path:
    files.directory(directory, mode=0o755)
    return directory / "change.lock"


def remove(directory: Path = manifest.DIRECTORY, *, purge: bool = False, step: Step = unobserved) -> Removed:
    """Afterwards iptables-save is as before apply, except for what others changed meanwhile. ``purge``:
    hold, too.
    """
    with locking.exclusive(change_lock(directory), wait=CHANGE_WAIT):
        return remove_locked(directory, purge=purge, step=step)


def remove_locked(directory: Path, *, purge: bool = False, step: Step = unobserved) -> Removed:
    """For a caller that holds the change lock."""
    known = manifest.load(directory)
    if known is not None:
        notes = _remove(known, directory, step)
        if purge:
            conntrack.release(known.tools, tuple(known.families))
        return Removed(changed=True, notes=notes)
    try:
        tools = flavour.detect()
    except Misconfigured:
        return Removed(changed=False)  # no iptables: nothing of ours can be there
    changed = [_remove_tagged(each) for each in (tools, *flavour.others(tools))]
    if purge:
        conntrack.release(tools, _families(tools))
    return Removed(changed=any(changed))


def _remove(known: Manifest, directory: Path, step: Step) -> tuple[str, ...]:
    writer = backend.of(known.tools)
    notes: list[str] = []
    for family, written in known.families.items():
        live = writer.read(family)
        notes += diff.kept(live, written.chains)
        for change in diff.erase(live, written.chains):
            step(f"erase {family} {change.table}")
            writer.commit(family, (change,))
        for table in written.chains:
            step(f"tidy {family} {table}")
            tidy(writer, family, table, written)
    if known.passthrough6:
        step("address")
        loopback.remove()
    step("forget")
    manifest.forget(directory)
    for note in notes:
        log.warning("%s", note)
    return tuple(notes)


def tidy(writer: Backend, family: Family, table: str, written: Written) -> None:
    """What our first write made on demand goes, once it is empty."""
    keep = written.found.get(table, ())
    writer.drop_empty(family, table, keep, drop_table=table not in written.found)


def _families(tools: Tools) -> tuple[Family, ...]:
    return tuple(family for family in FAMILIES if tools.path(family))


def _remove_tagged(tools: Tools) -> bool:
    """Without a manifest: what carries our comment. Tables stay, since nobody remembers who made them."""
    writer = backend.of(tools)
    changed = False
    for family in _families(tools):
        changes = diff.erase(writer.read(family), {})
        writer.commit(family, changes)
        changed = changed or bool(changes)
    return changed
