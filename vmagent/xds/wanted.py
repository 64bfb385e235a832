"""What is subscribed to of one type: everything, some names, or both."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

EVERYTHING: Final = "*"
"""As a name it says what no names at all say, too."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """False if nothing is."""

    everything: bool = False
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """As both variants mean the first request of a type: no names are all there are."""
        given = frozenset(names)
        return cls(not given or EVERYTHING in given, given - {EVERYTHING})

    def __bool__(self) -> bool:
        return self.everything or bool(self.names)

    def covers(self, name: str) -> bool:
        return self.everything or name in self.names

    def changed(self, subscribe: frozenset[str], unsubscribe: frozenset[str]) -> "Wanted":
        """As the incremental variant means its later requests. A name in both is subscribed to."""
        everything = EVERYTHING in subscribe or (self.everything and EVERYTHING not in unsubscribe)
        return Wanted(everything, ((self.names - unsubscribe) | subscribe) - {EVERYTHING})
