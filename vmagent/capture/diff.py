"""From what the host has to what it should have, one transaction per table. Pure.

Ours is: a chain that the manifest names; a chain all of whose rules carry our tag; a rule in anybody's
chain that carries our tag. Nothing else is ever touched, and nothing is recomputed from settings: those may
have changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmagent.capture.rule import TABLES, Rule, chains, tagged
from vmagent.capture.save import Chain, Live, jumps_to
from vmagent.errors import Misconfigured

Owned = Mapping[str, Sequence[str]]
"""table → names of our chains, from the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One table, one commit: iptables-restore lines between ``*table`` and ``COMMIT``."""

    table: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join((f"*{self.table}", *self.lines, "COMMIT", ""))


def replace(wanted: Sequence[Rule], live: Live, owned: Owned) -> tuple[Change, ...]:
    """All of ours that is there goes, all of ``wanted`` comes, in the same transaction.

    Raises Misconfigured if a chain we need exists, holds rules, and is not ours.
    """
    return tuple(
        Change(table=table, lines=tuple(_replace(table, wanted, live.get(table, {}), owned.get(table, ()))))
        for table in TABLES
        if any(rule.table == table for rule in wanted) or _has_ours(live.get(table, {}), owned.get(table, ()))
    )


def erase(live: Live, owned: Owned) -> tuple[Change, ...]:
    """All of ours that is there goes. Traffic first (nat), conntrack zones last."""
    return tuple(
        Change(table=table, lines=tuple(_erase(live[table], owned.get(table, ()))))
        for table in reversed(TABLES)
        if table in live and _has_ours(live[table], owned.get(table, ()))
    )


def _has_ours(live: Mapping[str, Chain], owned: Sequence[str]) -> bool:
    return bool(_our_chains(live, owned)) or any(_hooks(live, set()))


def _replace(
    table: str, wanted: Sequence[Rule], live: Mapping[str, Chain], owned: Sequence[str]
) -> Iterator[str]:
    ours = _our_chains(live, owned)
    needed = chains(wanted, table)
    for name in needed:
        if name in live and name not in ours and live[name].rules:
            raise Misconfigured(
                f"chain {name} of table {table} exists and is not ours: {live[name].rules[0]}",
                hint="another agent's rules are still loaded; stop it and remove them"
                " (Istio's: /usr/local/bin/istio-start.sh clean), then start again",
            )
    yield from (f":{name} - [0:0]" for name in needed)
    yield from _erase(live, owned, keep=frozenset(needed))
    yield from (f"-A {rule.chain} {rule.spec}" for rule in wanted if rule.table == table)


def _erase(
    live: Mapping[str, Chain], owned: Sequence[str], keep: frozenset[str] = frozenset()
) -> Iterator[str]:
    ours = _our_chains(live, owned)
    yield from (f"-D {chain} {spec}" for chain, spec in _hooks(live, ours))
    gone = [name for name in ours if name not in keep]
    yield from (f"-F {name}" for name in gone)
    yield from (f"-X {name}" for name in gone if not _foreign_jumps(live, ours, name))


def kept(live: Live, owned: Owned) -> tuple[str, ...]:
    """Chains of ours that must stay, empty, because a rule that is not ours jumps to them. One sentence
    each.
    """
    return tuple(
        f"chain {name} of table {table} stays, emptied: a rule that is not ours jumps to it ({jump})"
        for table, content in live.items()
        for ours in (_our_chains(content, owned.get(table, ())),)
        for name in ours
        for jump in _foreign_jumps(content, ours, name)
    )


def _our_chains(live: Mapping[str, Chain], owned: Sequence[str]) -> list[str]:
    return [
        name
        for name, chain in live.items()
        if not chain.builtin and (name in owned or (chain.rules and all(map(tagged, chain.rules))))
    ]


def _hooks(live: Mapping[str, Chain], ours: Sequence[str] | set[str]) -> Iterator[tuple[str, str]]:
    """Rules of ours in chains of others."""
    for name, chain in live.items():
        if name not in ours:
            yield from ((name, spec) for spec in chain.rules if tagged(spec))


def _foreign_jumps(live: Mapping[str, Chain], ours: Sequence[str], target: str) -> list[str]:
    return [
        f"-A {name} {spec}"
        for name, chain in live.items()
        if name not in ours
        for spec in chain.rules
        if jumps_to(spec) == target and not tagged(spec)
    ]


def ours(live: Live, owned: Owned) -> dict[str, dict[str, tuple[str, ...]]]:
    """What of ours is there: table → chain → rules; of other people's chains only our rules."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for table, content in live.items():
        own = _our_chains(content, owned.get(table, ()))
        for name, chain in content.items():
            rules = chain.rules if name in own else tuple(filter(tagged, chain.rules))
            if rules or name in own:
                found.setdefault(table, {})[name] = rules
    return found


def drift(
    recorded: Mapping[str, Mapping[str, Sequence[str]]], live: Mapping[str, Mapping[str, Sequence[str]]]
) -> tuple[str, ...]:
    """Where the live rules differ from what was written, one sentence each. Empty means intact."""
    return tuple(
        sentence
        for table in dict.fromkeys((*recorded, *live))
        for chain in dict.fromkeys((*recorded.get(table, {}), *live.get(table, {})))
        for sentence in _chain_drift(
            f"{table} {chain}",
            list(recorded.get(table, {}).get(chain, ())),
            live.get(table, {}).get(chain),
        )
    )


def _chain_drift(where: str, recorded: list[str], live: Sequence[str] | None) -> Iterator[str]:
    if live is None and not recorded:
        yield f"missing: chain {where}"
        return
    present = list(live or ())
    missing = _without(recorded, present)
    extra = _without(present, recorded)
    yield from (f"missing: {where} {spec}" for spec in missing)
    yield from (f"extra: {where} {spec}" for spec in extra)
    if not missing and not extra and recorded != present:
        yield f"order: the rules of {where} stand in another order than they were written"


def _without(some: list[str], others: list[str]) -> list[str]:
    """Multiset difference, order kept."""
    left = list(others)
    result = []
    for item in some:
        if item in left:
            left.remove(item)
        else:
            result.append(item)
    return result
