"""What was recorded: scenarios, and below each of them what istiod sent to whom.

Owns:      the layout of the two directories (see docs/compare.md).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

from lab.controlplane import type_urls

FILES: Final = {
    "cds": type_urls.CLUSTER,
    "eds": type_urls.ENDPOINT,
    "lds": type_urls.LISTENER,
    "rds": type_urls.ROUTE,
    "nds": type_urls.NAME_TABLE,
}
"""One file a type: ``cds.pb`` and so on. One that is missing is a type of which nothing was sent."""

_NODES: Final = "node-*.json"
_ENTRIES: Final = "workloadentries.yaml"
"""What istiod itself had made when it was recorded."""


class Unreadable(ValueError):
    """A file or directory that is not what it should be; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What one proxy was sent."""

    who: str
    node: base_pb2.Node
    mesh: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the mesh configuration that were not at their default."""
    sent: Mapping[str, list[any_pb2.Any]]
    """By type URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    file: Path
    entries: Path | None
    """Documents that lie with the recordings and belong to the resources."""
    recordings: tuple[Recording, ...]


def scenarios(resources: Path, recordings: Path) -> Iterator[Scenario]:
    """In order of their names. Raises `Unreadable`."""
    for directory in (resources, recordings):
        if not directory.is_dir():
            raise Unreadable(f"{directory} is no directory")
    nodes = _nodes(recordings)
    files = {path.stem: path for path in sorted(resources.glob("*.yaml"))}
    missing = [
        path.name for path in recordings.iterdir() if any(path.glob("*/cds.pb")) and path.name not in files
    ]
    if missing:
        raise Unreadable(f"{resources} has no {', '.join(sorted(missing))}.yaml, which was recorded")
    for name, path in files.items():
        folder = recordings / name
        entries = folder / _ENTRIES
        yield Scenario(
            name=name,
            file=path,
            entries=entries if entries.is_file() else None,
            recordings=tuple(
                _recording(each, nodes) for each in sorted(folder.glob("*")) if (each / "cds.pb").is_file()
            ),
        )


def _nodes(recordings: Path) -> dict[str, base_pb2.Node]:
    found = {}
    for path in sorted(recordings.glob(_NODES)):
        try:
            found[path.stem.removeprefix("node-")] = json_format.Parse(path.read_text(), base_pb2.Node())
        except json_format.ParseError as why:
            raise Unreadable(f"{path} is no xDS Node: {why}") from why
    if not found:
        raise Unreadable(f"{recordings} has no {_NODES}: whom was it recorded for?")
    return found


def _recording(folder: Path, nodes: Mapping[str, base_pb2.Node]) -> Recording:
    who = max((each for each in nodes if folder.name.startswith(each)), key=len, default=None)
    if who is None:
        raise Unreadable(f"{folder}: no node file of {', '.join(nodes)} is its proxy's")
    sent = {url: _resources(folder / f"{stem}.pb") for stem, url in FILES.items()}
    return Recording(who=folder.name, node=nodes[who], mesh=_setting(folder.name), sent=sent)


def _resources(path: Path) -> list[any_pb2.Any]:
    if not path.is_file():
        return []
    try:
        return list(discovery_pb2.DiscoveryResponse.FromString(path.read_bytes()).resources)
    except Exception as why:  # protobuf's DecodeError is not a class of its own everywhere
        raise Unreadable(f"{path} is no DiscoveryResponse: {why}") from why


def _setting(who: str) -> dict[str, Any]:
    """``client-proxyHttpPort-80``: recorded with this key of the mesh configuration, dots for nesting."""
    parts = who.split("-")
    if len(parts) != 3:
        return {}
    value: Any = yaml.safe_load(parts[2])
    for key in reversed(parts[1].split(".")):
        value = {key: value}
    setting: dict[str, Any] = json.loads(json.dumps(value))
    return setting
