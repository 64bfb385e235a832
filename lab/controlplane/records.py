"""What the control plane itself knows about WorkloadEntries and must still know after a restart.

Owns:      the files below the state directory: one per entry, and one for the addresses handed out.
Does not:  merge this with what users wrote (store.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.controlplane import disk
from lab.controlplane.addresses import Leases, ServiceKey
from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.registry import Key, key_of
from lab.controlplane.resources import parse, to_document, to_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    entry: WorkloadEntry
    created: bool
    """Made by us, so that it stands alone. Otherwise its annotations and conditions lie over a user's
    entry."""


class Records:
    def __init__(self, state: Path) -> None:
        self._places = {True: state / "entries", False: state / "overlays"}
        self._leases = state / "addresses.yaml"
        self._lines: dict[tuple[ServiceKey, str], str] = {}

    def load(self) -> dict[Key, Record]:
        found: dict[Key, Record] = {}
        for created, place in self._places.items():
            for path in sorted(place.glob("*.yaml")):
                for resource in parse(path.read_text(), file=str(path)).resources:
                    if isinstance(resource, WorkloadEntry):
                        found[key_of(resource)] = Record(entry=resource, created=created)
        return found

    def save(self, record: Record) -> None:
        path = self._path(key_of(record.entry), created=record.created)
        disk.write(path, to_yaml([to_document(record.entry)]).encode(), mode=0o644)

    def forget(self, key: Key) -> None:
        for created in self._places:
            self._path(key, created=created).unlink(missing_ok=True)

    def load_leases(self) -> Leases:
        if not self._leases.exists():
            return Leases()
        stored: Mapping[str, Any] = yaml.load(self._leases.read_text(), Loader=yaml.CSafeLoader)
        held = {(each["namespace"], each["name"], each["host"]): each["address"] for each in stored["held"]}
        return Leases(held=held, last=stored["last"])

    def save_leases(self, leases: Leases) -> None:
        """A line is made once: this happens with every new service, and there may be ten thousand."""
        held = leases.held
        self._lines = {each: self._lines.get(each) or _lease(*each) for each in held.items()}
        text = f"last: {leases.last}\nheld:{'' if held else ' []'}\n{''.join(self._lines.values())}"
        disk.write(self._leases, text.encode(), mode=0o644)

    def _path(self, key: Key, *, created: bool) -> Path:
        return self._places[created] / f"{key[1]}.{key[2]}.yaml"


def _lease(key: ServiceKey, address: str) -> str:
    namespace, name, host = key
    return f"- {json.dumps({'namespace': namespace, 'name': name, 'host': host, 'address': address})}\n"
