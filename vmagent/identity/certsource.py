"""The names of files that hold certificates. Values only: nothing here opens them (certfiles.py)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PairFiles:
    """A chain, leaf first, and its key."""

    chain: Path
    key: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.chain, self.key

    def __str__(self) -> str:
        return f"{self.chain} with {self.key}"


@dataclass(frozen=True, slots=True)
class RootFile:
    """One or more authorities."""

    root: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.root,)

    def __str__(self) -> str:
        return str(self.root)


Source = PairFiles | RootFile
