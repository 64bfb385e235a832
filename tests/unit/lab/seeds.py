"""The YAML of the source documents, as it stands in them: no indentation mended, no name changed."""

import re
from collections.abc import Iterator

from tests.conftest import RECORDINGS

SEEDS = RECORDINGS.parent / "seeds"

_OF_YAML = re.compile(r"\s*$|\s|-|#|[A-Za-z]\w*:")
"""How a line of a resource begins; prose begins with a word and no colon."""


def resources(document: str) -> list[str]:
    """Texts of YAML in the order of the document; one may hold several documents behind ``---``."""
    found: list[list[str]] = []
    inside = False
    for line in (SEEDS / document).read_text().splitlines():
        if line.startswith("apiVersion:"):
            if not inside:
                found.append([])
            inside = True
        elif not _OF_YAML.match(line) or line.startswith("```") or _is_prose(line):
            inside = False
        if inside:
            found[-1].append(line)
    return ["\n".join(lines).rstrip() + "\n" for lines in found]


def _is_prose(line: str) -> bool:
    return not line.isascii() and not line.startswith(" ")


def documents() -> Iterator[str]:
    yield from sorted(path.name for path in SEEDS.iterdir())
