"""cluster.env and sidecar.env: assignments in shell syntax, as Istio's start script reads them by sourcing.

Owns:      the grammar: quotes, escapes, ``$NAME``, ``export``, comments, continued lines, several to a line.
Does not:  execute anything. What only a shell could answer (``$(...)``, a command, ``~``) is an error.
           Know which keys mean something. Standard library only: the capture process reads these files, too.
Surprise:  unquoted JSON loses its quotes here as it does in a shell: ``{"a":"b"}`` arrives as ``{a:b}``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmagent.config import damage
from vmagent.config.problem import Problem

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_EXPANSION = re.compile(
    r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?-)([^{}$`\"'\\]*))?\})"
)
_BLANK = " \t"
_ENDS = " \t\n;"
_OPERATORS = "&|<>()"
_ESCAPED = '$`"\\\n'
"""What a backslash escapes between double quotes; before anything else it stands for itself."""
_QUOTING = "put the value in single quotes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One assignment. A later one of the same key wins."""

    key: str
    value: str
    path: Path
    line: int

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    """If there is one, the entries are what could be read around it: fit for finding more, not for use."""

    @property
    def values(self) -> dict[str, Entry]:
        """By key; the last assignment wins."""
        return {entry.key: entry for entry in self.entries}


def parse(data: bytes, path: Path, known: Mapping[str, str]) -> EnvFile:
    """``known`` is what ``$NAME`` may refer to besides earlier lines: the environment and files read before.

    Never raises for what stands in the file; every problem names the file and the line.
    """
    damaged = damage.find(data, path)
    if damaged is not None:
        return EnvFile(entries=(), problems=(damaged,))
    scanner = _Scanner(data.decode(), path, known)
    scanner.scan()
    return EnvFile(entries=tuple(scanner.entries), problems=tuple(scanner.problems))


class _Refusal(Exception):
    """Something this grammar does not take: reason and remedy."""


_SHELLS_OWN = frozenset("""
    BASHPID BASH_VERSION EPOCHSECONDS EUID GROUPS HOSTNAME HOSTTYPE IFS LINENO MACHTYPE OLDPWD OPTIND OSTYPE
    PPID PWD RANDOM SECONDS SHLVL SRANDOM UID
""".split())  # fmt: skip  # noqa: SIM905
"""What bash sets by itself. Where somebody set it before us, that is what counts."""


def _tilde() -> _Refusal:
    return _Refusal("~ is not expanded here", "write the whole path")


class _Scanner:
    def __init__(self, text: str, path: Path, known: Mapping[str, str]) -> None:
        self._text = text
        self._path = path
        self._known = dict(known)
        self._at = 0
        self._key = ""
        self._start = 0
        self._exporting = False
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []

    def scan(self) -> None:
        while self._skip_space():
            self._key, self._start = "", self._at
            try:
                self._statement()
            except _Refusal as refusal:
                self._refuse(refusal)

    def _skip_space(self) -> bool:
        """To the next word; False at the end of the file."""
        while self._at < len(self._text):
            if self._text[self._at] == "#":
                self._skip_line()
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif self._text[self._at] in _ENDS:
                self._exporting = self._exporting and self._text[self._at] in _BLANK
                self._at += 1
            else:
                return True
        return False

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _statement(self) -> None:
        match = _ASSIGNMENT.match(self._text, self._at)
        if match is None:
            self._not_an_assignment()
            return
        self._key, self._at = match[1], match.end()
        line = self._line(self._start)
        value = self._value()
        if match[2]:
            value = self._known.get(self._key, "") + value
        self._known[self._key] = value
        self.entries.append(Entry(key=self._key, value=value, path=self._path, line=line))

    def _not_an_assignment(self) -> None:
        """``export`` alone or before assignments is a word to skip; anything else would be a command.

        It is never quoted: it may be a line of a file that was not meant for us, a key or a password.
        """
        word = re.compile(r"[^\s;#]+").match(self._text, self._at)
        assert word is not None  # _skip_space stopped at neither blank, semicolon nor comment
        after = self._text[word.end() :].lstrip(_BLANK)
        if word[0] == "export" and _ASSIGNMENT.match(after):
            self._at = word.end()
            self._exporting = True
            return
        if after.startswith("="):
            raise _Refusal("spaces around =", "write KEY=VALUE without spaces")
        raise _Refusal("not an assignment", "write KEY=VALUE; this file is read, not executed")

    def _value(self) -> str:
        if self._peek() == "(":
            raise _Refusal("a shell array", "write one value, with commas between items")
        parts: list[str] = []
        begins = True  # a path may: at the start of the value, and behind a colon as in PATH
        while (char := self._peek()) and char not in _ENDS:
            if char in _OPERATORS:
                raise _Refusal(f"unquoted {char}", _QUOTING)
            if char == "~" and begins:
                raise _tilde()
            if char == "{" and self._exporting:  # unlike an assignment, the words of a command are expanded
                raise _Refusal("unquoted { behind export", _QUOTING)
            continued = self._text.startswith("\\\n", self._at)
            begins = char == ":" or (begins and continued)
            parts.append(self._piece(char))
        return "".join(parts)

    def _piece(self, char: str) -> str:
        match char:
            case "'":
                return self._single()
            case '"':
                return self._double()
            case "\\":
                self._at += 2
                return self._text[self._at - 1 : self._at].replace("\n", "")
            case "$":
                return self._expansion()
            case "`":
                raise _Refusal("command substitution", f"{_QUOTING} or write what the command prints")
            case _:
                self._at += 1
                return char

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise self._unclosed("'")
        text = self._text[self._at + 1 : end]
        self._at = end + 1
        return text

    def _double(self) -> str:
        self._at += 1
        parts: list[str] = []
        while (char := self._peek()) != '"':
            if not char:
                raise self._unclosed('"')
            after = self._text[self._at + 1 : self._at + 2]
            if char == "`" or (char == "\\" and after in _ESCAPED) or (char == "$" and after not in "\"'"):
                parts.append(self._piece(char))
            else:
                parts.append(char)
                self._at += 1
        self._at += 1
        return "".join(parts)

    def _expansion(self) -> str:
        """``$NAME``, ``${NAME}``, ``${NAME:-word}``, ``${NAME-word}``; a name nobody set is empty."""
        if self._text.startswith("$(", self._at):
            raise _Refusal("command substitution", f"{_QUOTING} or write what the command prints")
        match = _EXPANSION.match(self._text, self._at)
        if match is None:
            return self._lone_dollar()
        self._at = match.end()
        name, word = match[1] or match[2], match[4]
        if word is not None and (word.startswith("~") or ":~" in word):
            raise _tilde()
        if name == "_" or (name in _SHELLS_OWN and name not in self._known):
            raise _Refusal(f"${name}, which only a shell knows", "write the value itself")
        value = self._known.get(name)
        if word is not None and (value is None or (not value and match[3] == ":-")):
            return word
        return value or ""

    def _lone_dollar(self) -> str:
        after = self._text[self._at + 1 : self._at + 2]
        continued = self._text.startswith("\\\n", self._at + 1)
        if continued or (after and (after in "{['\"@*#?!-$" or after.isdigit())):
            raise _Refusal("an expansion that is not supported here", _QUOTING)
        self._at += 1
        return "$"

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _line(self, offset: int) -> int:
        return self._text.count("\n", 0, offset) + 1

    def _unclosed(self, quote: str) -> _Refusal:
        return _Refusal(
            f"the quote {quote} is never closed", f"close it, or write {quote} as {chr(92)}{quote}"
        )

    def _refuse(self, refusal: _Refusal) -> None:
        why, remedy = refusal.args
        end = self._text.find("\n", self._start)
        shown = self._text[self._start : None if end < 0 else end]
        match = _ASSIGNMENT.match(shown)
        self.problems.append(
            Problem(
                where=f"{self._path}:{self._line(self._start)}",
                key=self._key,
                value=shown[match.end() :] if match else None,
                why=why,
                remedy=remedy,
            )
        )
        self._at = self._start
        self._skip_line()
