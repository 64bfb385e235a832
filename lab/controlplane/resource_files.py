"""A directory of YAML files, looked at again and again.

Owns:      which files changed, what each held when it last could be read, and the one line about one that
           cannot.
Does not:  merge files into a world (store.py).
Surprise:  looking is polling. A directory of a lab has a few files, and polling notices what inotify does
           not: files on overlays and in other mount namespaces. Looking changes nothing here, so that it may
           happen in another thread; what was seen counts once it is taken.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.controlplane import disk
from lab.controlplane.bulk import in_bulk
from lab.controlplane.documents import Document, documents, split, with_documents
from lab.controlplane.registry import Key, key_of
from lab.controlplane.resources import Parsed, Refused, Resource, read

log = logging.getLogger("config")

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""A mesh of 10 000 services fits; a file beyond that is somebody's mistake."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a file, or what stands between two boundaries."""

    parsed: Parsed
    documents: Mapping[Key, Document]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFile:
    """What a file held when it could last be read. ``stamp`` is that of the last try."""

    stamp: Stamp
    resources: Mapping[Key, Resource]
    documents: Mapping[Key, Document]
    parts: Mapping[str, Part]
    """By their text, so that a change of one in a large file costs one."""


_NOTHING: Final = ResourceFile(stamp=(0, 0, 0), resources={}, documents={}, parts={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A file that is not as it was known. ``now`` is None for one that is gone."""

    path: Path
    known: ResourceFile | None
    now: ResourceFile | None


class ResourceFiles:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[Path, ResourceFile] = {}
        self._holders: defaultdict[Key, list[Path]] = defaultdict(list)

    def look(self, only: Iterable[Path] | None = None) -> list[Sight]:
        """At every file, or at these. Changes nothing."""
        known = dict(self._files)
        paths = sorted(_yaml_files(self.directory)) if only is None else list(only)
        stamps = {path: stamp for path in paths if (stamp := _stamp(path)) is not None}
        gone = (path for path in (known if only is None else paths) if path in known and path not in stamps)
        seen = [Sight(path=path, known=known[path], now=None) for path in gone]
        others = {
            path: each for path, each in stamps.items() if path not in known or known[path].stamp != each
        }
        with in_bulk(len(others)):
            for path, stamp in others.items():
                now = _read(path, stamp, known.get(path, _NOTHING))
                seen.append(Sight(path=path, known=known.get(path), now=now))
        return seen

    def take(self, seen: Iterable[Sight]) -> list[Key]:
        """What was seen counts from now on, unless something newer does. The keys that may mean something
        else now, in order of appearance."""
        touched: dict[Key, None] = {}
        for each in seen:
            path, new = each.path, each.now
            if self._files.get(path) is not each.known:
                continue
            old, now = each.known or _NOTHING, new or _NOTHING
            for key in (*old.resources, *now.resources):
                if old.resources.get(key) is not now.resources.get(key):
                    touched[key] = None
            self._hold(
                path,
                dropped=[key for key in old.resources if key not in now.resources],
                held=[key for key in now.resources if key not in old.resources],
            )
            if new is None:
                log.info("file removed\tpath=%s", path)
                self._files.pop(path, None)
            else:
                self._files[path] = new
        return list(touched)

    def resource(self, key: Key) -> Resource | None:
        path = self.holder(key)
        return None if path is None else self._files[path].resources[key]

    def document(self, key: Key) -> Document:
        """Raises KeyError."""
        path = self.holder(key)
        if path is None:
            raise KeyError(key)
        return self._files[path].documents[key]

    def holder(self, key: Key) -> Path | None:
        """The file that counts for this key: the first one that has it."""
        paths = self._holders.get(key)
        return paths[0] if paths else None

    def put(self, changes: Mapping[Key, Document | None]) -> list[Sight]:
        """Written into the files that have these keys, or into a file of its own each; None takes one out.
        What there is to take afterwards."""
        by_path: defaultdict[Path, dict[Key, Document | None]] = defaultdict(dict)
        for key, document in changes.items():
            path = self.holder(key)
            if path is None and document is not None:
                path = self.directory / f"{key[0].lower()}.{key[1]}.{key[2]}.yaml"
            if path is not None:
                by_path[path][key] = document
        for path, some in by_path.items():
            self._rewrite(path, some)
        return self.look(by_path)

    def _hold(self, path: Path, *, dropped: Iterable[Key], held: Iterable[Key]) -> None:
        for key in dropped:
            self._holders[key].remove(path)
            if not self._holders[key]:
                del self._holders[key]
        for key in held:
            self._holders[key].append(path)
            if self.holder(key) != path:
                log.error("%s: %s %s/%s is already in another file; ignored here", path, *key)

    def _rewrite(self, path: Path, changes: Mapping[Key, Document | None]) -> None:
        known = {text: part.documents for text, part in self._files.get(path, _NOTHING).parts.items()}
        text = with_documents(path.read_text() if path.exists() else "", changes, known)
        if text:
            disk.write(path, text.encode(), mode=0o644)
        else:
            path.unlink(missing_ok=True)


def _read(path: Path, stamp: Stamp, known: ResourceFile) -> ResourceFile:
    try:
        parts = _parts(path.read_text(), str(path), known.parts)
    except (OSError, UnicodeDecodeError) as why:
        keeps = "keeping its last good version" if known.resources else "it is ignored"
        log.error("%s: %s; %s", path, why, keeps)
        return replace(known, stamp=stamp)
    resources = {key_of(each): each for part in parts.values() for each in part.parsed.resources}
    found = {key: document for part in parts.values() for key, document in part.documents.items()}
    kept: list[Key] = []
    for text, part in parts.items():
        stays = [key for each in part.parsed.refused for key in _last_good(each, known, resources)]
        kept += stays
        if text not in known.parts:
            _tell(part.parsed, kept=bool(stays))
    log.info("file read\tpath=%s\tresources=%d", path, len(resources))
    return ResourceFile(
        stamp=stamp,
        resources={**resources, **{key: known.resources[key] for key in kept}},
        documents={**found, **{key: known.documents[key] for key in kept}},
        parts=parts,
    )


def _last_good(refused: Refused, known: ResourceFile, new: Mapping[Key, Resource]) -> list[Key]:
    """What stays as it was.

    Beside a document that cannot even be read nothing counts as taken away: it might be the one.
    """
    if refused.key is not None:
        return [refused.key] if refused.key in known.resources and refused.key not in new else []
    return [key for key in known.resources if key not in new]


def _tell(parsed: Parsed, *, kept: bool) -> None:
    for warning in parsed.warnings:
        log.warning("%s", warning)
    for refused in parsed.refused:
        log.error("%s; %s", refused.why, "keeping its last good version" if kept else "it is ignored")


def _parts(text: str, file: str, known: Mapping[str, Part]) -> dict[str, Part]:
    """Those whose text is known are not read again."""
    found: dict[str, Part] = {}
    number = 1
    chunks = split(text)
    with in_bulk(len(chunks) - len(known)):
        for index, chunk in enumerate(chunks):
            part = known.get(chunk) or _part(_named_by_line(chunk, text, file=file, number=number))
            found[chunk] = part
            number += len(part.parsed.values) or (1 if index else 0)
    return found


def _named_by_line(chunk: str, text: str, *, file: str, number: int) -> Parsed:
    parsed = read(chunk, file=file, first=number)
    if any(each.key is None for each in parsed.refused):
        # With as many empty lines in front as stand before it: yaml then counts from the top of the file.
        return read("\n" * text.count("\n", 0, text.find(chunk)) + chunk, file=file, first=number)
    return parsed


def _part(parsed: Parsed) -> Part:
    return Part(parsed, documents(parsed.values))


def _yaml_files(directory: Path) -> Iterator[Path]:
    for place, _, names in os.walk(directory):
        for name in names:
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                yield Path(place, name)


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    if status.st_size > MAX_FILE_BYTES:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
