"""Two projections, and one line per place at which they are not the same."""

from collections.abc import Iterator, Mapping
from typing import Final

from lab.compare.project import Plain

_LONGEST: Final = 160
"""Characters of a value in a line; the path says where to read the rest."""

_KEYS: Final = ("name", "cluster_name", "domains", "filter_chain_match", "endpoint", "exact")
"""By which items of a list are found again on the other side, where order says nothing."""


def differences(istiod: Plain, lab: Plain, path: str) -> Iterator[str]:
    match istiod, lab:
        case dict(), dict():
            yield from _mappings(istiod, lab, path)
        case list(), list():
            yield from _lists(istiod, lab, path)
        case _ if type(istiod) is not type(lab) or istiod != lab:
            yield f"{path}: istiod says {_shown(istiod)}, the lab says {_shown(lab)}"


def _mappings(istiod: Mapping[str, Plain], lab: Mapping[str, Plain], path: str) -> Iterator[str]:
    for key in [*istiod, *(key for key in lab if key not in istiod)]:
        below = f"{path}.{key}" if path else key
        if key not in lab:
            yield f"{below}: istiod says {_shown(istiod[key])}, the lab says nothing"
        elif key not in istiod:
            yield f"{below}: istiod says nothing, the lab says {_shown(lab[key])}"
        else:
            yield from differences(istiod[key], lab[key], below)


def _lists(istiod: list[Plain], lab: list[Plain], path: str) -> Iterator[str]:
    theirs, ours = _keyed(istiod), _keyed(lab)
    if theirs is not None and ours is not None:
        yield from _mappings(theirs, ours, path)
        if list(theirs) != list(ours) and theirs.keys() == ours.keys():
            yield f"{path}: istiod's order is {_shown(list(theirs))}, the lab's {_shown(list(ours))}"
        return
    if len(istiod) != len(lab):
        yield f"{path}: istiod says {_shown(istiod)}, the lab says {_shown(lab)}"
        return
    for index, (theirs_at, ours_at) in enumerate(zip(istiod, lab, strict=True)):
        yield from differences(theirs_at, ours_at, f"{path}[{index}]")


def _keyed(items: list[Plain]) -> dict[str, Plain] | None:
    """None unless each item has a key and no two share one."""
    found: dict[str, Plain] = {}
    for item in items:
        key = (
            next((_short(item[each]) for each in _KEYS if each in item), None)
            if isinstance(item, dict)
            else None
        )
        if key is None or key in found:
            return None
        found[key] = item
    return found


def _short(value: Plain) -> str:
    return value if isinstance(value, str) else _shown(value)


def _shown(value: Plain | list[str]) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
