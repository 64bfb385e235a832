"""Everything this control plane knows, as one current ``World``.

Owns:      the merge of users' files with our own records, resource versions, and the news that something
           changed.
Does not:  decide what an entry says (registration.py) or who is told (push.py).
Surprise:  a user's file always wins: our record of the same entry then only lends its annotations and
           conditions.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from lab.controlplane.documents import Document, documents
from lab.controlplane.kinds.kubernetes import Namespace
from lab.controlplane.kinds.metadata import uid_of
from lab.controlplane.kinds.workload import WorkloadEntry, WorkloadGroup
from lab.controlplane.records import Record, Records
from lab.controlplane.registration import BOOKKEEPING
from lab.controlplane.registry import Key, World, key_of
from lab.controlplane.resource_files import ResourceFiles
from lab.controlplane.resources import Resource, parse, to_document
from lab.controlplane.timestamps import rfc3339

log = logging.getLogger("config")


_REST: Final = 9
"""So many times as long as a look took, the next one waits."""


class NotThere(KeyError):
    """No such resource."""


class Store:
    """One place waits for the news of it and takes them (``take_news``)."""

    def __init__(self, files: ResourceFiles, records: Records, now: Callable[[], int]) -> None:
        self._files = files
        self._records = records
        self._now = now
        self._own = records.load()
        self.world = World(leases=records.load_leases())
        self._versions: dict[Key, int] = {}
        self._created: dict[Key, int] = {}
        self._version = 0
        self._news: set[Key] = set()
        self._changed = asyncio.Event()
        self._install([*files.take(files.look()), *self._own])

    def scan(self) -> None:
        self._install(self._files.take(self._files.look()))

    async def watch(self, every: float) -> None:
        """``every`` is in seconds; endless. Looking and reading happen beside the event loop, and never take
        more than a tenth of the time."""
        while True:
            began = time.monotonic()
            seen = await asyncio.to_thread(self._files.look)
            self._install(self._files.take(seen))
            await asyncio.sleep(max(every, _REST * (time.monotonic() - began)))

    async def take_news(self) -> frozenset[Key]:
        """What changed since the last time; waits until something did."""
        await self._changed.wait()
        self._changed.clear()
        news = frozenset(self._news)
        self._news.clear()
        return news

    def apply(self, text: str) -> list[Key]:
        """Every document of a YAML text into the resource directory. Raises BadDocument, and then changes
        nothing."""
        parsed = parse(text, file="(applied)")
        found = documents(parsed.values)
        for warning in parsed.warnings:
            log.warning("%s", warning)
        keys = [key_of(each) for each in parsed.resources]
        self._install(self._files.take(self._files.put({key: found[key] for key in keys})))
        return keys

    def delete(self, key: Key) -> None:
        """Out of the users' files and out of our records. Raises NotThere."""
        if key not in self.world.resources:
            raise NotThere(key)
        self._own.pop(key, None)
        self._records.forget(key)
        self._install([key, *self._files.take(self._files.put({key: None}))])

    def record(self, entry: WorkloadEntry) -> None:
        """An entry that we made, or our view of a user's entry."""
        key = key_of(entry)
        known = self._own.get(key)
        created = known.created if known is not None else self._files.holder(key) is None
        self._own[key] = Record(entry=entry, created=created)
        self._records.save(self._own[key])
        self._install([key])

    def forget(self, key: Key) -> None:
        """What we know about a user's entry; the entry itself stays."""
        self._own.pop(key, None)
        self._records.forget(key)
        self._install([key])

    def document(self, key: Key) -> Document:
        """As ``kubectl get -o yaml`` would show it. Raises NotThere."""
        resource = self.world.resources.get(key)
        if resource is None:
            raise NotThere(key)
        if isinstance(resource, WorkloadEntry | WorkloadGroup):
            document: Document = to_document(resource)
        else:
            document = self._files.document(key)
        return {**document, "metadata": {**document["metadata"], **self._served(resource)}}

    @property
    def version(self) -> int:
        return self._version

    def _served(self, resource: Resource) -> dict[str, Any]:
        """What an API server adds to the metadata of everything it stores."""
        key, metadata = key_of(resource), resource.metadata
        served = {
            "creationTimestamp": rfc3339(self._created[key]),
            "generation": metadata.generation or 1,
            "namespace": metadata.namespace,
            "resourceVersion": str(self._versions[key]),
            "uid": uid_of(resource.KIND, metadata),
        }
        if isinstance(resource, Namespace):
            del served["namespace"]
        return served

    def _install(self, keys: Iterable[Key]) -> None:
        """What these keys mean may have changed."""
        old = self.world
        changed = {key: now for key in keys if (now := self._resource(key)) != old.resources.get(key)}
        if not changed:
            return
        new = [resource for resource in changed.values() if resource is not None]
        self.world = old.exchange(changed.keys() & old.resources.keys(), new)
        if self.world.leases != old.leases:
            self._records.save_leases(self.world.leases)
        self._count(changed)
        self._news |= changed.keys()
        self._changed.set()

    def _resource(self, key: Key) -> Resource | None:
        resource = self._files.resource(key)
        if resource is not None:
            return self._with_record(key, resource)
        record = self._own.get(key)
        return record.entry if record is not None and record.created else None

    def _with_record(self, key: Key, resource: Resource) -> Resource:
        record = self._own.get(key)
        if record is None or not isinstance(resource, WorkloadEntry):
            return resource
        lent = {
            name: value for name, value in record.entry.metadata.annotations.items() if name in BOOKKEEPING
        }
        metadata = replace(resource.metadata, annotations={**resource.metadata.annotations, **lent})
        return replace(resource, metadata=metadata, conditions=record.entry.conditions)

    def _count(self, changed: Mapping[Key, Resource | None]) -> None:
        for key, resource in changed.items():
            if resource is None:
                del self._versions[key]
                del self._created[key]
                continue
            self._version += 1
            self._versions[key] = self._version
            self._created.setdefault(key, self._now())
