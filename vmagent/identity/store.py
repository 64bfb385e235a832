"""The credential on disk, so that a restart needs neither CA nor token.

Owns:      key.pem, cert-chain.pem and root-cert.pem as one set, all 0600 as Istio's agent leaves them.
Does not:  judge what it reads (keys.py); log.
Surprise:  the set is first written as one file, so a crash among the three renames is finished by the next
           start. Without it, a machine could be left with a key that fits no certificate, and with an expired
           token. Key and chain may be an operator's instead, under the same names (FILE_MOUNTED_CERTS), so
           what we wrote is written down: purge removes that alone (packaging/deb/istio-agent.postrm).
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vmagent.identity.credential import Credential
from vmagent.runtime import files

KEY: Final = "key.pem"
CHAIN: Final = "cert-chain.pem"
ROOT: Final = "root-cert.pem"
WRITTEN: Final = "written-by-istio-agent"
"""Checksums of our key and chain, as sha256sum prints them."""
_UNFINISHED: Final = ".credential.next"

_MODE: Final = 0o600
_DIVIDER: Final = b"\n# --- next file ---\n"
"""Cannot occur in PEM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Not judged yet. ``received``: when we wrote it, epoch seconds; ``unfinished``: asks for another
    ``save``."""

    key: bytes = field(repr=False)
    chain: bytes = field(repr=False)
    root: bytes = field(repr=False)
    received: float
    unfinished: bool = False


def paths(directory: Path) -> tuple[Path, ...]:
    """Where something of ours may lie."""
    return tuple(directory / name for name in (KEY, CHAIN, ROOT, _UNFINISHED))


def load(directory: Path) -> list[Stored]:
    """What could be ours, newest first; empty on a first start. Raises OSError where files cannot be read."""
    return [found for found in (_unfinished(directory), _set(directory)) if found is not None]


def _unfinished(directory: Path) -> Stored | None:
    path = directory / _UNFINISHED
    try:
        parts = path.read_bytes().split(_DIVIDER)
        received = path.stat().st_mtime
    except FileNotFoundError:
        return None
    if len(parts) != 3:
        return None
    return Stored(key=parts[0], chain=parts[1], root=parts[2], received=received, unfinished=True)


def _set(directory: Path) -> Stored | None:
    try:
        key, chain, root = ((directory / name).read_bytes() for name in (KEY, CHAIN, ROOT))
        received = (directory / CHAIN).stat().st_mtime
    except FileNotFoundError:
        return None
    return Stored(key=key, chain=chain, root=root, received=received)


def save(directory: Path, credential: Credential, *, roots: Callable[[], bool] = lambda: True) -> None:
    """Raises OSError. A file that holds the same bytes already is left alone, so watchers of the root stay
    quiet; and so is the root's if ``roots()`` says so at the last moment."""
    if not directory.is_dir():
        files.directory(directory, mode=0o700)
    whole = {KEY: credential.key_pem, CHAIN: credential.chain_pem, ROOT: credential.root_pem}
    files.write(directory / _UNFINISHED, _DIVIDER.join(whole.values()), mode=_MODE)
    _write_down(directory / WRITTEN, whole)
    for name, data in whole.items():
        if not _holds(directory / name, data) and (name != ROOT or roots()):
            files.write(directory / name, data, mode=_MODE)
    files.remove(directory / _UNFINISHED)


def _write_down(path: Path, whole: Mapping[str, bytes]) -> None:
    """Before they are there, and without forgetting those that they replace: a kill between leaves either."""
    now = [f"{hashlib.sha256(whole[name]).hexdigest()}  {name}" for name in (KEY, CHAIN)]
    before = path.read_text(errors="replace").splitlines() if path.exists() else []
    lines = list(dict.fromkeys((*before, *now)))[-2 * len(now) :]
    if lines != before:
        files.write(path, "".join(f"{line}\n" for line in lines).encode(), mode=_MODE)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False
