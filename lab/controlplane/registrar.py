"""Registers machines as they connect, and cleans up after those that stay away.

Owns:      the count of connections per entry, and the moments at which entries end.
Does not:  say what an entry contains (registration.py), or who the caller is (authentication.py).
Surprise:  a control plane that stops does not declare its machines disconnected: it is the one that leaves.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator

from lab.controlplane.kinds.workload import WorkloadEntry, WorkloadGroup
from lab.controlplane.proxy import Proxy
from lab.controlplane.registration import (
    auto_registered,
    connected,
    disconnected,
    due,
    entry_name,
    identity_problem,
    new_entry,
    reported,
)
from lab.controlplane.registry import Key, key_of
from lab.controlplane.session import ReportHealth
from lab.controlplane.settings import Settings
from lab.controlplane.spiffe import SpiffeId
from lab.controlplane.store import Store
from lab.controlplane.timestamps import SECOND

log = logging.getLogger("wle")


class NoSuchGroup(Exception):
    """The WorkloadGroup that a node names is not there: gRPC FAILED_PRECONDITION."""


class NotAllowed(Exception):
    """This identity must not have that entry, or the entry does not exist: gRPC UNKNOWN, as istiod's plain
    errors."""


class Registrar:
    def __init__(self, settings: Settings, store: Store, now: Callable[[], int]) -> None:
        self._settings = settings
        self._store = store
        self._now = now
        self._connections: defaultdict[Key, set[str]] = defaultdict(set)
        self._wake = asyncio.Event()

    def connected(self, proxy: Proxy, identity: SpiffeId, connection: str) -> Key | None:
        """The entry this connection stands for; None if it stands for none. Raises NoSuchGroup,
        NotAllowed."""
        entry = self._entry_for(proxy)
        if entry is None:
            return None
        if self._settings.validate_identity:
            account = entry.spec.service_account
            problem = identity_problem(identity, namespace=entry.metadata.namespace, service_account=account)
            if problem:
                log.warning("refused %s/%s: %s", entry.metadata.namespace, entry.metadata.name, problem)
                raise NotAllowed(problem)
        key = key_of(entry)
        self._store.record(connected(entry, controller=self._settings.controller, now=self._now()))
        if others := {machine(each) for each in self._connections[key]} - {machine(connection)}:
            log.warning(
                "two machines with one address share an entry: entry=%s/%s\tmachine=%s\tand=%s",
                key[1],
                key[2],
                machine(connection),
                ", ".join(sorted(others)),
            )
        self._connections[key].add(connection)
        log.info("connected\tentry=%s/%s\tconnection=%s", key[1], key[2], connection)
        return key

    def disconnected(self, key: Key, connection: str) -> None:
        connections = self._connections[key]
        connections.discard(connection)
        if connections:
            return
        del self._connections[key]
        entry = self._entry(key)
        if entry is not None:
            self._store.record(disconnected(entry, now=self._now()))
            log.info("disconnected\tentry=%s/%s\tgrace=%gs", key[1], key[2], self._settings.grace_period)
            self._wake.set()

    def reported(self, key: Key | None, health: ReportHealth) -> None:
        entry = self._entry(key) if key is not None else None
        if entry is None:
            log.warning("cannot tell which WorkloadEntry a health report is for\tentry=%s", key)
            return
        if not self._settings.healthchecks or not entry.health_checked:
            return
        now = self._now()
        self._store.record(reported(entry, healthy=health.healthy, message=health.message, now=now))
        word = "healthy" if health.healthy else f"unhealthy: {health.message}"
        log.info("health\tentry=%s/%s\t%s", entry.metadata.namespace, entry.metadata.name, word)

    async def clean_up(self) -> None:
        """Endless. Sleeps until the next entry is due, or until one more may be."""
        while True:
            now = self._now()
            waiting = list(self._waiting())
            for instant, entry in waiting:
                if instant <= now:
                    self._end(entry)
            later = [instant for instant, _ in waiting if instant > now]
            seconds = (min(later) - now) / SECOND if later else None
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                continue
            self._wake.clear()

    def _waiting(self) -> Iterator[tuple[int, WorkloadEntry]]:
        settings = self._settings
        for entry in self._store.world.all(WorkloadEntry):
            instant = due(
                entry,
                controller=settings.controller,
                grace=settings.grace_period,
                max_age=settings.max_connection_age,
            )
            if instant is not None and not self._connections.get(key_of(entry)):
                yield instant, entry

    def _end(self, entry: WorkloadEntry) -> None:
        """An auto-registered entry goes; one that somebody wrote only loses what was reported about it."""
        if auto_registered(entry):
            self._store.delete(key_of(entry))
            log.info("removed\tentry=%s/%s", entry.metadata.namespace, entry.metadata.name)
        else:
            self._store.forget(key_of(entry))

    def _entry_for(self, proxy: Proxy) -> WorkloadEntry | None:
        namespace, group_name = proxy.namespace, proxy.auto_register_group
        world = self._store.world
        if group_name and self._settings.autoregistration and namespace:
            entry = world.get(WorkloadEntry, namespace, entry_name(proxy))
            if entry is not None:
                return entry
            group = world.get(WorkloadGroup, namespace, group_name)
            if group is None:
                raise NoSuchGroup(
                    f"cannot register WorkloadEntry {entry_name(proxy)}: "
                    f"there is no WorkloadGroup {namespace}/{group_name}"
                )
            return new_entry(proxy, group)
        if proxy.workload_entry and self._settings.healthchecks:
            entry = world.get(WorkloadEntry, namespace, proxy.workload_entry)
            if entry is None:
                raise NotAllowed(f"there is no WorkloadEntry {namespace}/{proxy.workload_entry}")
            return entry if entry.health_checked else None
        return None

    def _entry(self, key: Key) -> WorkloadEntry | None:
        return self._store.world.get(WorkloadEntry, key[1], key[2])


def machine(connection: str) -> str:
    """Whose it is: a connection is a machine's name and a number."""
    return connection.rpartition("-")[0]
