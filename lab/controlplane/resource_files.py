"""A directory of YAML files, looked at again and again.

Owns:      which files changed, what each held when it last could be read, and the one line about one that
           cannot.
Does not:  merge files into a world (store.py).
Surprise:  looking is polling. A directory of a lab has a few files, and polling notices what inotify does
           not: files on overlays and in other mount namespaces.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.controlplane import disk
from lab.controlplane.documents import Document, documents, with_document
from lab.controlplane.kinds.document import BadDocument
from lab.controlplane.registry import Key, key_of
from lab.controlplane.resources import Resource, parse

log = logging.getLogger("config")

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""A mesh of 10 000 services fits; a file beyond that is somebody's mistake."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFile:
    """What a file held when it could last be read. ``stamp`` is that of the last try."""

    stamp: Stamp
    resources: Mapping[Key, Resource]
    documents: Mapping[Key, Document]


class ResourceFiles:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[Path, ResourceFile] = {}

    @property
    def files(self) -> Mapping[Path, ResourceFile]:
        return self._files

    def scan(self) -> bool:
        """One look; whether anything is different now."""
        seen = {path: stamp for path in self._paths() if (stamp := _stamp(path)) is not None}
        gone = self._files.keys() - seen.keys()
        for path in gone:
            log.info("file removed\tpath=%s", path)
            del self._files[path]
        changed = bool(gone)
        for path, stamp in seen.items():
            known = self._files.get(path)
            if known is None or known.stamp != stamp:
                changed |= self._read(path, stamp)
        return changed

    def put(self, key: Key, document: Document) -> None:
        """Written into the file that has this key, or into a file of its own. The caller scans afterwards."""
        path = self.holder(key) or self.directory / f"{key[0].lower()}.{key[1]}.{key[2]}.yaml"
        self._rewrite(path, key, document)

    def remove(self, key: Key) -> None:
        path = self.holder(key)
        if path is not None:
            self._rewrite(path, key, None)

    def holder(self, key: Key) -> Path | None:
        return next((path for path, file in self._files.items() if key in file.resources), None)

    def _paths(self) -> Iterable[Path]:
        found = (path for suffix in ("*.yaml", "*.yml") for path in self.directory.rglob(suffix))
        return sorted(path for path in found if not path.name.startswith("."))

    def _rewrite(self, path: Path, key: Key, document: Document | None) -> None:
        text = with_document(path.read_text() if path.exists() else "", key, document)
        if text:
            disk.write(path, text.encode(), mode=0o644)
        else:
            path.unlink(missing_ok=True)

    def _read(self, path: Path, stamp: Stamp) -> bool:
        known = self._files.get(path) or ResourceFile(stamp=stamp, resources={}, documents={})
        try:
            text = path.read_text()
            parsed = parse(text, file=str(path))
        except (BadDocument, OSError, UnicodeDecodeError) as why:
            keeps = "keeping its last good version" if known.resources else "it is ignored"
            log.error("%s; %s", why, keeps)
            self._files[path] = replace(known, stamp=stamp)
            return False
        for warning in parsed.warnings:
            log.warning("%s", warning)
        resources = {key_of(each): each for each in parsed.resources}
        self._files[path] = ResourceFile(stamp=stamp, resources=resources, documents=documents(text))
        log.info("file read\tpath=%s\tresources=%d", path, len(resources))
        return True


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if status.st_size > MAX_FILE_BYTES:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
