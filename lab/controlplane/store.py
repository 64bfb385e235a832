"""Everything this control plane knows, as one current ``World``.

Owns:      the merge of users' files with our own records, resource versions, and the news that something
           changed.
Does not:  decide what an entry says (registration.py) or who is told (push.py).
Surprise:  a user's file always wins: our record of the same entry then only lends its annotations and
           conditions.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

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


class NotThere(KeyError):
    """No such resource."""


class Store:
    """``changed`` is set after every change; whoever waits for it clears it."""

    def __init__(self, files: ResourceFiles, records: Records, now: Callable[[], int]) -> None:
        self._files = files
        self._records = records
        self._now = now
        self._own = records.load()
        self.world = World(leases=records.load_leases())
        self._versions: dict[Key, int] = {}
        self._created: dict[Key, int] = {}
        self._version = 0
        self.changed = asyncio.Event()
        files.scan()
        self._rebuild()

    def scan(self) -> None:
        if self._files.scan():
            self._rebuild()

    async def watch(self, every: float) -> None:
        """``every`` is in seconds; endless."""
        while True:
            await asyncio.sleep(every)
            self.scan()

    def apply(self, text: str) -> list[Key]:
        """Every document of a YAML text into the resource directory. Raises BadDocument, and then changes
        nothing."""
        parsed = parse(text, file="(applied)")
        found = documents(text)
        for warning in parsed.warnings:
            log.warning("%s", warning)
        keys = [key_of(each) for each in parsed.resources]
        for key in keys:
            self._files.put(key, found[key])
        self.scan()
        return keys

    def delete(self, key: Key) -> None:
        """Out of the users' files and out of our records. Raises NotThere."""
        if key not in self.world.resources:
            raise NotThere(key)
        self._own.pop(key, None)
        self._records.forget(key)
        self._files.remove(key)
        self._files.scan()
        self._rebuild()

    def record(self, entry: WorkloadEntry) -> None:
        """An entry that we made, or our view of a user's entry."""
        key = key_of(entry)
        known = self._own.get(key)
        created = known.created if known is not None else self._files.holder(key) is None
        self._own[key] = Record(entry=entry, created=created)
        self._records.save(self._own[key])
        self._rebuild()

    def forget(self, key: Key) -> None:
        """What we know about a user's entry; the entry itself stays."""
        self._own.pop(key, None)
        self._records.forget(key)
        self._rebuild()

    def document(self, key: Key) -> Document:
        """As ``kubectl get -o yaml`` would show it. Raises NotThere."""
        resource = self.world.resources.get(key)
        if resource is None:
            raise NotThere(key)
        if isinstance(resource, WorkloadEntry | WorkloadGroup):
            document: Document = to_document(resource)
        else:
            document = next(
                file.documents[key] for file in self._files.files.values() if key in file.documents
            )
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

    def _rebuild(self) -> None:
        old = self.world
        self.world = old.exchange(old.resources, self._resources())
        if self.world.leases != old.leases:
            self._records.save_leases(self.world.leases)
        self._count(old)
        self.changed.set()

    def _resources(self) -> Iterator[Resource]:
        seen: set[Key] = set()
        for path, file in self._files.files.items():
            for key, resource in file.resources.items():
                if key in seen:
                    log.error("%s: %s %s/%s is already in another file; ignored here", path, *key)
                    continue
                seen.add(key)
                yield self._with_record(key, resource)
        for key, record in self._own.items():
            if record.created and key not in seen:
                yield record.entry

    def _with_record(self, key: Key, resource: Resource) -> Resource:
        record = self._own.get(key)
        if record is None or not isinstance(resource, WorkloadEntry):
            return resource
        lent = {
            name: value for name, value in record.entry.metadata.annotations.items() if name in BOOKKEEPING
        }
        metadata = replace(resource.metadata, annotations={**resource.metadata.annotations, **lent})
        return replace(resource, metadata=metadata, conditions=record.entry.conditions)

    def _count(self, old: World) -> None:
        for key, resource in self.world.resources.items():
            if old.resources.get(key) != resource or key not in self._versions:
                self._version += 1
                self._versions[key] = self._version
                self._created.setdefault(key, self._now())
        for key in self._versions.keys() - self.world.resources.keys():
            del self._versions[key]
            del self._created[key]
