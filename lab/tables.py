"""Tables as kubectl and istioctl print them: no lines, columns as wide as their widest cell and a gap."""

from collections.abc import Iterable, Sequence


def table(rows: Iterable[Sequence[str]], *, gap: int) -> list[str]:
    """One line a row; the heading is a row like any other. ``gap`` is in characters."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) + gap for column in zip(*shown, strict=True)]
    return [
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]


def printable(text: str) -> str:
    """What a terminal would obey, in a name that somebody else chose, is written out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
