"""Hosts whose iptables is legacy: python-iptables writes, iptables-legacy-save reads. The only door to
``iptc``.

Surprises, all found by trying python-iptables 1.2.0 with iptables 1.8.9:
- one process can speak one family only (after IPv4 it no longer finds IPv6's REDIRECT), and the library may
  call exit(): so each commit runs in a forked child, which imports iptc and ends;
- looking for a jump's chain opens *all* tables and thereby creates them: ``existing_table_names`` is filled
  first;
- it does not take the xtables lock: we do, as long as iptables itself would wait;
- to find its libraries it runs gcc and ld, here as root: the child answers that question itself.
"""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from vmagent.capture import command, locking
from vmagent.capture.diff import Change
from vmagent.capture.flavour import Tools
from vmagent.capture.rule import Family
from vmagent.capture.save import Live, parse
from vmagent.errors import Unavailable

XTABLES_LOCK: Final = Path("/run/xtables.lock")
LOCK_WAIT: Final = 30.0
"""Seconds, as Istio's ``--wait=30``."""
_ALL_TABLES: Final = ("filter", "nat", "mangle", "raw", "security")


class LegacyBackend:
    def __init__(self, tools: Tools, *, lock_wait: float = LOCK_WAIT) -> None:
        self._tools = tools
        self._lock_wait = lock_wait

    def read(self, family: Family) -> Live:
        return parse(command.run([f"{self._tools.path(family)}-save"]))

    def commit(self, family: Family, changes: Sequence[Change]) -> None:
        if changes:
            _in_child(lambda: _commit(family, changes, self._lock_wait))

    def base_chains(self, family: Family) -> dict[str, tuple[str, ...]]:
        return {}

    def drop_empty(self, family: Family, table: str, keep: Sequence[str], *, drop_table: bool) -> None:
        """A legacy table, once looked at, stays until its module is unloaded."""


def _in_child(work: Callable[[], None]) -> None:
    """Fork, so that libxtables' state and its exit() end with the child. The child says what went wrong in
    a pipe.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            work()
            code = 0
        except BaseException as error:  # noqa: BLE001 - nothing may escape from a forked copy of our caller
            os.write(writer, f"{type(error).__name__}: {error}".encode()[:4096])
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if status != 0:
        why = said or f"python-iptables ended with {os.waitstatus_to_exitcode(status)}"
        raise Unavailable(f"cannot write legacy iptables rules: {why}")


_LIBRARIES: Final = {
    "c": ("libc.so.6",),
    "xtables": ("libxtables.so.12", "libxtables.so.11", "libxtables.so.10"),
    "ip4tc": ("libip4tc.so.2", "libip4tc.so.0"),
    "ip6tc": ("libip6tc.so.2", "libip6tc.so.0"),
}
"""What iptc asks ctypes for, and the names these libraries have had since iptables 1.4."""


def _answer_for_libraries() -> None:
    import ctypes
    import ctypes.util

    def find(name: str) -> str | None:
        for soname in _LIBRARIES.get(name, ()):
            try:
                ctypes.CDLL(soname)
            except OSError:
                continue
            return soname
        return None

    vars(ctypes.util)["find_library"] = find


def _commit(family: Family, changes: Sequence[Change], wait: float) -> None:
    _answer_for_libraries()
    import iptc  # here, in the child: see the head of this file

    kind, rule = (iptc.Table, iptc.Rule) if family == "ipv4" else (iptc.Table6, iptc.Rule6)
    with locking.exclusive(XTABLES_LOCK, wait=wait):
        for change in changes:
            kind.existing_table_names.update(dict.fromkeys(_ALL_TABLES, False))
            table = kind(change.table, autocommit=False)
            kind.existing_table_names[change.table] = True
            table.refresh()
            for line in change.lines:
                _perform(iptc, table, rule, line)
            table.commit()
            table.close()


def _perform(iptc: Any, table: Any, rule: Any, line: str) -> None:
    """One line of a change."""
    verb, _, rest = line.partition(" ")
    if verb.startswith(":"):
        name = verb[1:]
        if table.is_chain(name):
            table.flush_entries(name)
        else:
            table.create_chain(name)
    elif verb == "-F":
        table.flush_entries(rest)
    elif verb == "-X":
        table.delete_chain(rest)
    else:
        name, _, spec = rest.partition(" ")
        chain = iptc.Chain(table, name)
        encoded = _encode(rule(chain=chain), shlex.split(spec))
        if verb == "-A":
            chain.append_rule(encoded)
        else:
            chain.delete_rule(encoded)


_HEAD: Final = {"-s": "src", "-d": "dst", "-i": "in_interface", "-o": "out_interface", "-p": "protocol"}


def _encode(rule: Any, words: list[str]) -> Any:
    """iptables' words → iptc's objects: what we write, and what iptables-save prints of it."""
    module: Any = rule
    options: list[tuple[str, list[str]]] = []
    inverted = False

    def flush() -> None:
        for name, values in options:
            module.set_parameter(name, values[0] if len(values) == 1 else values or None)
        options.clear()

    at = iter(words)
    for word in at:
        if word == "!":
            inverted = True
        elif word in _HEAD:
            setattr(rule, _HEAD[word], ("!" if inverted else "") + next(at))
            inverted = False
        elif word == "-m":
            flush()
            module = rule.create_match(next(at))
        elif word in ("-j", "-g"):
            flush()
            module = rule.create_target(next(at), goto=word == "-g")
        elif word.startswith("--"):
            options.append((word[2:], ["!"] if inverted else []))
            inverted = False
        else:
            options[-1][1].append(word)
    flush()
    return rule
