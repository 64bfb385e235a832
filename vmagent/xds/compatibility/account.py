"""What one Envoy does without: extensions that were taken out, and resources that were refused.

Surprise:  what it tells is replaced as a whole whenever it changes, so that any thread may read it.
"""

from collections.abc import Iterable, Mapping

from vmagent.xds import types
from vmagent.xds.compatibility.catalogue import Extension


class Account:
    def __init__(self) -> None:
        self._taken: dict[tuple[Extension, str], None] = {}
        self._refused: dict[str, Mapping[str, str]] = {}
        self.taken_out: Mapping[str, tuple[str, ...]] = {}
        """Extension to the short names of the resource types it was taken out of so far."""
        self.refused: Mapping[str, str] = {}
        """``Listener NAME`` to the reason, for each resource whose newest version Envoy cannot have."""

    def took(self, extension: Extension, type_url: str) -> None:
        if (extension, type_url) in self._taken:
            return
        self._taken[extension, type_url] = None
        kinds: dict[str, tuple[str, ...]] = {}
        for each, url in self._taken:
            kinds[each.name] = (*kinds.get(each.name, ()), types.short(url))
        self.taken_out = {name: tuple(sorted(every)) for name, every in sorted(kinds.items())}

    def refused_of(self, type_url: str) -> Mapping[str, str]:
        """Those of one type, by name."""
        return self._refused.get(type_url, {})

    def looked_at(
        self, type_url: str, names: Iterable[str], refused: Mapping[str, str], *, whole: bool = False
    ) -> None:
        """Of these resources, or of all there are if they are the ``whole``, just these are refused."""
        before = self.refused_of(type_url)
        if not before and not refused:
            return
        gone = before.keys() if whole else before.keys() & set(names)
        kept = {name: why for name, why in before.items() if name not in gone}
        self._refused[type_url] = {**kept, **refused}
        self.refused = {
            f"{types.short(url)} {name}": why
            for url, of_type in self._refused.items()
            for name, why in of_type.items()
        }
