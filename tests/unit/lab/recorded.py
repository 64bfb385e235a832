"""The recordings of a real istiod, and a comparison that names the path at which two resources differ.

What a stock Envoy cannot load is taken out of the recorded side first; every other difference has to be on a
list with a reason.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.snapshot import Snapshot, build
from tests.conftest import RECORDINGS

ISTIOD = RECORDINGS / "istiod-1.29.6"
SCENARIOS = RECORDINGS.parent / "scenarios"

ISTIO_ONLY = frozenset({"istio.metadata_exchange", "istio.alpn", "istio.stats"})
PEER_EXCHANGE = "istio-peer-exchange"

FILES = {
    "cds": type_urls.CLUSTER,
    "eds": type_urls.ENDPOINT,
    "lds": type_urls.LISTENER,
    "rds": type_urls.ROUTE,
    "nds": type_urls.NAME_TABLE,
}
NAME_FIELDS = {type_urls.ENDPOINT: "cluster_name"}

Json = Any
"""The JSON form of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A difference that is meant. ``path`` is the start of the paths it covers."""

    path: str
    reason: str


def node(who: str) -> base_pb2.Node:
    return json_format.Parse((ISTIOD / f"node-{who}.json").read_text(), base_pb2.Node())


def recording(scenario: str, who: str, *, whole: bool = False) -> dict[str, dict[str, Json]]:
    """``[file][name]`` of everything istiod sent, as a stock Envoy could have taken it, or the ``whole``."""
    folder = ISTIOD / scenario / who
    if not folder.is_dir():
        pytest.skip(f"recording {scenario}/{who} not present")
    return {file: _recorded(folder / f"{file}.pb", url, whole=whole) for file, url in FILES.items()}


def served(snapshot: Snapshot) -> dict[str, dict[str, Json]]:
    return {
        file: {name: _plain(resource) for name, resource in snapshot.of(url).items()}
        for file, url in FILES.items()
    }


def scenario_world(name: str) -> World:
    path = SCENARIOS / f"{name}.yaml"
    if not path.is_file():
        pytest.skip(f"scenario {name} not present")
    world = World.of(parse(path.read_text(), file=path.name).resources)
    registered = ISTIOD / name / "workloadentries.yaml"
    if registered.is_file():
        for entry in parse(registered.read_text(), file=registered.name).resources:
            world = world.add(entry)
    return world


def scenario_snapshot(name: str, who: str, mesh: Mesh | None = None) -> Snapshot:
    world = scenario_world(name)
    return build(world, Proxy.parse(node(who)), mesh or Mesh())


def differences(recorded: Json, ours: Json, path: str) -> Iterator[str]:
    """One line per path at which the two are not the same; lists are compared by position."""
    match recorded, ours:
        case dict(), dict():
            for key in [*recorded, *(key for key in ours if key not in recorded)]:
                below = f"{path}.{key}"
                if key not in ours:
                    yield f"{below}: istiod says {recorded[key]!r}, we say nothing"
                elif key not in recorded:
                    yield f"{below}: istiod says nothing, we say {ours[key]!r}"
                else:
                    yield from differences(recorded[key], ours[key], below)
        case list(), list() if len(recorded) == len(ours):
            for index, (theirs, mine) in enumerate(zip(recorded, ours, strict=True)):
                yield from differences(theirs, mine, f"{path}[{index}]")
        case _ if recorded != ours:
            yield f"{path}: istiod says {recorded!r}, we say {ours!r}"


def stripped(resource: any_pb2.Any) -> Json:
    """One resource as JSON, without what only Istio's Envoy has and the protocol that needs it."""
    copy = any_pb2.Any()
    copy.CopyFrom(resource)
    _strip(copy)
    return _plain(copy)


def unexpected(found: list[str], allowed: tuple[Allowed, ...]) -> list[str]:
    return [line for line in found if not any(line.startswith(each.path) for each in allowed)]


def unused(found: list[str], allowed: tuple[Allowed, ...]) -> list[str]:
    """Allowances nothing needs any more: an open door without a reason."""
    return [each.path for each in allowed if not any(line.startswith(each.path) for line in found)]


def _recorded(path: Path, url: str, *, whole: bool) -> dict[str, Json]:
    if not path.is_file():
        return {}
    response = discovery_pb2.DiscoveryResponse.FromString(path.read_bytes())
    for resource in () if whole else response.resources:
        _strip(resource)
    resources = [_plain(resource) for resource in response.resources]
    name = NAME_FIELDS.get(url, "name")
    return {"" if url == type_urls.NAME_TABLE else each[name]: each for each in resources}


def _plain(resource: any_pb2.Any) -> dict[str, Json]:
    if resource.type_url == type_urls.NAME_TABLE:
        table = nds_pb2.NameTable.FromString(resource.value)
        return {
            "@type": resource.type_url,
            **json_format.MessageToDict(table, preserving_proto_field_name=True),
        }
    return json_format.MessageToDict(resource, preserving_proto_field_name=True)


def _strip(message: Message) -> None:
    """Take out, at any depth, the filters only Istio's Envoy has, and the protocol that needs one."""
    if isinstance(message, any_pb2.Any):
        _strip_packed(message)
        return
    for field, value in message.ListFields():
        if field.is_repeated and isinstance(value, Mapping):
            for below in value.values():
                if isinstance(below, Message):
                    _strip(below)
        elif field.is_repeated:
            kept = [each for each in value if not _istio_only(each)]
            for each in kept:
                if isinstance(each, Message):
                    _strip(each)
            del value[:]
            value.extend(kept)
        elif isinstance(value, Message):
            _strip(value)


def _strip_packed(packed: any_pb2.Any) -> None:
    if packed.type_url == type_urls.NAME_TABLE:
        return
    inner = message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    )()
    packed.Unpack(inner)
    _strip(inner)
    packed.Pack(inner)


def _istio_only(value: object) -> bool:
    return value == PEER_EXCHANGE or getattr(value, "name", "") in ISTIO_ONLY
