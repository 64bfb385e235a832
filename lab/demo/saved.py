"""Comparing what iptables-save printed before and after."""

import re


def undone(before: str, after: str) -> bool:
    """As before: equal without comment lines and counters; empty tables that only ``after`` has may stay."""
    return _rules(after) == _rules(before)


def _rules(saved: str) -> list[tuple[str, list[str]]]:
    tables: list[tuple[str, list[str]]] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            tables.append((line, []))
        elif line and not line.startswith("#") and line != "COMMIT":
            tables[-1][1].append(re.sub(r"\[\d+:\d+\]", "", line).strip())
    return [(name, lines) for name, lines in tables if not _empty(lines)]


def _empty(lines: list[str]) -> bool:
    """Nothing but built-in chains with their default policy."""
    return all(re.fullmatch(r":\S+ ACCEPT", line) for line in lines)
