"""Writes the plan, all or nothing: a failure on the way takes back what was written before it.

Surprise: writing twice is writing once. If settings, host and live rules are as the manifest says, nothing
          is touched, not even a counter; otherwise old and new rules change places in one transaction per
          table.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vmagent.capture import (
    backend,
    config,
    conntrack,
    diff,
    flavour,
    host,
    locking,
    loopback,
    manifest,
    undo,
    verify,
)
from vmagent.capture.backend import Backend
from vmagent.capture.diff import Change
from vmagent.capture.flavour import Tools
from vmagent.capture.manifest import Manifest, Written
from vmagent.capture.plan import Plan, plan, render
from vmagent.capture.rule import TABLES, Family, Rule, chains
from vmagent.capture.undo import Step, unobserved

log = logging.getLogger("capture")


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    changed: bool
    tools: Tools | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    tools: Tools
    plan: Plan


def preview(
    env: Mapping[str, str],
    directory: Path = manifest.DIRECTORY,
    *,
    origins: Mapping[str, str] | None = None,
) -> Preview | str:
    """What ``apply`` would write here; changes nothing. A sentence if nothing is to be written."""
    settings = config.parse(env, host.SystemAccounts(), origins)
    if settings.left_alone:
        return settings.left_alone
    known = manifest.load(directory)
    tools = known.tools if known else flavour.detect(settings.flavour)
    return Preview(
        tools=tools,
        plan=plan(settings, host.read(envoy_port=settings.outbound_port), ip6tables=bool(tools.ip6tables)),
    )


def apply(
    env: Mapping[str, str],
    directory: Path = manifest.DIRECTORY,
    *,
    origins: Mapping[str, str] | None = None,
    step: Step = unobserved,
) -> Applied:
    """Raises Misconfigured, and Unavailable, before the first write with everything as it was, later with
    nothing of ours left behind.
    """
    wanted = preview(env, directory, origins=origins)
    if isinstance(wanted, str):
        removed = undo.remove(directory)
        return Applied(changed=removed.changed, tools=None, notes=(wanted,))
    with locking.exclusive(undo.change_lock(directory), wait=undo.CHANGE_WAIT):
        known = manifest.load(directory)
        tools = known.tools if known else wanted.tools
        work = _Work(tools=tools, plan=wanted.plan, directory=directory, step=step)
        if known and work.intact(known):
            return Applied(changed=False, tools=tools, notes=wanted.plan.notes)
        changes = work.changes(known)
        intent = work.intend(known)
        try:
            work.write(intent, changes)
        except BaseException:  # whatever it was: half of the rules are worse than none
            undo.remove_locked(directory)
            raise
    return Applied(changed=True, tools=tools, notes=wanted.plan.notes)


class _Work:
    def __init__(self, *, tools: Tools, plan: Plan, directory: Path, step: Step) -> None:
        self._tools = tools
        self._plan = plan
        self._directory = directory
        self._step = step
        self._backend: Backend = backend.of(tools)

    def intact(self, known: Manifest) -> bool:
        plans = {family: render(rules) for family, rules in self._plan.families.items()}
        return (
            known.state == "applied"
            and plans == {family: written.plan for family, written in known.families.items()}
            and not verify.drift(known)
        )

    def changes(self, known: Manifest | None) -> dict[Family, tuple[Change, ...]]:
        """New rules for old ones; for a family that is captured no longer, nothing for old ones."""
        changes: dict[Family, tuple[Change, ...]] = {}
        for family in known.families if known else ():
            if family not in self._plan.families:
                changes[family] = diff.erase(self._backend.read(family), _owned(known, family))
        for family, rules in self._plan.families.items():
            changes[family] = diff.replace(rules, self._backend.read(family), _owned(known, family))
        return changes

    def intend(self, known: Manifest | None) -> Manifest:
        self._step("intend")
        intent = self._intent(known)
        manifest.store(self._directory, intent)
        return intent

    def write(self, intent: Manifest, changes: Mapping[Family, tuple[Change, ...]]) -> None:
        self._step("hold")
        hold = conntrack.hold(self._tools, tuple(self._plan.families))
        if intent.passthrough6 and "ipv6" in self._plan.families and not loopback.present():
            self._step("address")
            loopback.add()
        for family, parts in changes.items():
            for change in parts:
                self._step(f"write {family} {change.table}")
                self._backend.commit(family, (change,))
        self._tidy(intent)
        self._step("record")
        manifest.store(self._directory, self._done(intent, hold))

    def _tidy(self, intent: Manifest) -> None:
        """What the earlier settings needed and these do not: emptied tables, the passthrough address."""
        for family, written in intent.families.items():
            for table in written.chains:
                if not self._chains(family).get(table):
                    self._step(f"tidy {family} {table}")
                    undo.tidy(self._backend, family, table, written)
        if intent.passthrough6 and "ipv6" not in self._plan.families:
            loopback.remove()

    def _chains(self, family: Family) -> dict[str, tuple[str, ...]]:
        """table → our chains, as planned."""
        rules = self._plan.families.get(family, ())
        return {table: chains(rules, table) for table in TABLES if chains(rules, table)}

    def _intent(self, known: Manifest | None) -> Manifest:
        """Covers what is there and what will be, from before the first write to after the last."""
        families: dict[Family, Written] = {}
        for family, written in known.families.items() if known else ():
            families[family] = replace(written, plan="", rules={})
        for family, rules in self._plan.families.items():
            families[family] = self._written(family, rules, families.get(family))
        added = known.passthrough6 if known else False
        return Manifest(
            state="writing",
            tools=self._tools,
            families=families,
            passthrough6=added or ("ipv6" in self._plan.families and not loopback.present()),
            hold=known.hold if known else "",
            outbound_port=self._plan.outbound_port,
        )

    def _written(self, family: Family, rules: tuple[Rule, ...], before: Written | None) -> Written:
        now = self._chains(family)
        earlier = before.chains if before else {}
        found = dict(before.found) if before else {}
        present, base = self._backend.read(family), self._backend.base_chains(family)
        for table in now:
            if table not in earlier and table in present:
                found.setdefault(table, base.get(table, ()))
        both = {
            table: tuple(dict.fromkeys((*now.get(table, ()), *earlier.get(table, ()))))
            for table in dict.fromkeys((*now, *earlier))
        }
        return Written(plan=render(rules), chains=both, rules={}, found=found)

    def _done(self, intent: Manifest, hold: str) -> Manifest:
        families: dict[Family, Written] = {}
        for family in self._plan.families:
            written, ours = intent.families[family], self._chains(family)
            families[family] = Written(
                plan=written.plan,
                chains=ours,
                rules=diff.ours(self._backend.read(family), ours),
                found={table: bases for table, bases in written.found.items() if table in ours},
            )
        passthrough6 = intent.passthrough6 and "ipv6" in families
        return replace(intent, state="applied", families=families, hold=hold, passthrough6=passthrough6)


def _owned(known: Manifest | None, family: Family) -> Mapping[str, tuple[str, ...]]:
    written = known.families.get(family) if known else None
    return written.chains if written else {}
