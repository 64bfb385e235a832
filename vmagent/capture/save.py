"""Reads what iptables-save prints. Pure; knows nothing of ours and theirs (diff.py does)."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    name: str
    builtin: bool
    rules: tuple[str, ...]
    """What follows ``-A CHAIN``, as printed."""


Live = Mapping[str, Mapping[str, Chain]]
"""table → chain → Chain, in the order printed."""


@dataclass(slots=True)
class _Open:
    builtin: bool
    rules: list[str] = field(default_factory=list)


def parse(text: str) -> Live:
    tables: dict[str, dict[str, _Open]] = {}
    table: dict[str, _Open] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:].strip(), {})
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split()
            table[name] = _Open(builtin=policy != "-")
        elif line.startswith("-A "):
            _, name, *spec = line.split(" ", 2)
            table[name].rules.append(spec[0] if spec else "")
    return {
        name: {
            chain: Chain(name=chain, builtin=content.builtin, rules=tuple(content.rules))
            for chain, content in chains.items()
        }
        for name, chains in tables.items()
    }


def jumps_to(spec: str) -> str:
    """The chain or target a rule sends to; "" if it only counts."""
    words = spec.split(" ")
    for flag, target in itertools.pairwise(words):
        if flag in ("-j", "-g"):
            return target
    return ""
