"""Text of others, fit for a terminal and for a log that is read by line. Standard library only.

Names and reasons come from the control plane, from Envoy, from files of the unprivileged user: none of them
may move root's cursor, or write a line that looks like one of ours.
"""

from typing import Final

INDENT: Final = "  "


def plain(text: str, indent: str = INDENT) -> str:
    """What cannot be printed becomes its escape (``\\x1b``), tabs stay. So do line ends, which tracebacks and
    lists of mistakes need; but whatever stands behind one is indented, so that it begins nothing.
    """
    if text.isprintable():
        return text
    first, *more = (_line(line) for line in text.split("\n"))
    return "\n".join((first, *(line if line.startswith(indent) else indent + line for line in more)))


def one_line(text: str) -> str:
    """The same, for a place that has room for one line only."""
    return _line(" ".join(text.split()))


def _line(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in text)
