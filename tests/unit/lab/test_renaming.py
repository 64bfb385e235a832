"""What istiod sent holds under other names: rename hosts, namespaces, subsets, labels and ports in the
resources, and what is served is what was recorded, renamed likewise.

A rule that was read off one scenario's names does not survive this.
"""

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest
import yaml
from envoy.config.core.v3 import base_pb2
from envoy.type.v3 import range_pb2
from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from lab.compare.difference import differences
from lab.compare.messages import opened
from lab.compare.project import Plain, project
from lab.compare.recordings import FILES, Recording, Scenario, scenarios
from lab.compare.run import asked_for
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.snapshot import build
from tests.unit.lab.recorded import ISTIOD, SCENARIOS

MEANT: Final = frozenset(
    {
        *("default", "mesh", "istio-system", "svc", "cluster", "local"),
        *("com", "org", "example", "istio", "type", "googleapis"),
        *("http", "https", "http2", "tls", "tcp", "grpc", "mongo", "mysql", "unix", "istio-egressgateway"),
    }
)
"""Words that mean something to istiod wherever they stand."""

LITERAL: Final = frozenset({"apiVersion", "kind", "protocol", "resolution", "location", "mode"})
"""Keys whose values are no names."""

PORTS: Final = frozenset({"number", "targetPort", "port", "containerPort", "port_value", "destination_port"})


HOST_WITHOUT_SERVICE: Final = frozenset(
    {"04-short-host-trap", "10-egress-gateway", "10b-egress-gateway-visible"}
)
"""In these a VirtualService names a host that no service visible to the proxy has: istiod serves it on port
80, whatever other ports there are."""


class Renaming:
    """Every word gets a longer name with the same beginning, so that the order of names stays; every port
    moves by ``offset``."""

    def __init__(self, words: set[str], ports: set[int], *, ending: str, offset: int) -> None:
        self._ending = ending
        self._ports = {port: port + offset for port in ports}
        longest = sorted(words, key=len, reverse=True)
        self._word = re.compile(rf"(?<![a-z0-9-])({'|'.join(map(re.escape, longest))})(?![a-z0-9-])")
        numbers = "|".join(str(port) for port in ports) or "none"
        self._port = re.compile(rf"(?<![\d-])(?<!\d\.)({numbers})(?!\d)(?!\.\d)")

    def text(self, text: str) -> str:
        if text.startswith(("envoy.", "type.googleapis.com/")):
            return text
        text = self._word.sub(lambda found: found[1] + self._ending, text)
        return self._port.sub(lambda found: str(self._ports[int(found[1])]), text)

    def document(self, value: Any, key: str = "") -> Any:
        """A resource, or a part of it below ``key``."""
        if isinstance(value, dict):
            if key == "ports":
                return {name: self._ports.get(port, port) for name, port in value.items()}
            return {name: self.document(below, name) for name, below in value.items()}
        if isinstance(value, list):
            return [self.document(each, key) for each in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return self._ports.get(value, value) if key in PORTS else value
        return self.text(value) if isinstance(value, str) and key not in LITERAL else value

    def packed(self, packed: any_pb2.Any) -> any_pb2.Any:
        message = opened(packed)
        if message is None:
            return packed  # of Istio's own filters, which only count
        self.message(message)
        return any_pb2.Any(type_url=packed.type_url, value=message.SerializeToString())

    def message(self, message: Message) -> None:
        """All of it, in place."""
        if isinstance(message, range_pb2.Int32Range) and message.start in self._ports:
            message.end += self._ports[message.start] - message.start
            message.start = self._ports[message.start]
        for field, value in message.ListFields():
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                self._map(field, value)
            elif field.is_repeated:
                kept = [self._one(field, each) for each in value]
                if field.message_type is None:
                    value[:] = kept
            elif field.message_type is None:
                setattr(message, field.name, self._one(field, value))
            else:
                self._one(field, value)

    def _map(self, field: FieldDescriptor, value: Any) -> None:
        assert field.message_type is not None
        below = field.message_type.fields_by_name["value"]
        for name in list(value):
            if below.message_type is None:
                value[name] = self._one(below, value[name])
                continue
            self._one(below, value[name])
            # The name table has hosts for keys, all others words of an API.
            if "." in name and (new := self.text(name)) != name:
                value[new].CopyFrom(value[name])
                del value[name]

    def _one(self, field: FieldDescriptor, value: Any) -> Any:
        if isinstance(value, any_pb2.Any):
            value.CopyFrom(self.packed(value))
        elif isinstance(value, wrappers_pb2.UInt32Value) and field.name in PORTS:
            value.value = self._ports.get(value.value, value.value)
        elif isinstance(value, Message):
            self.message(value)
        elif isinstance(value, str):
            return self.text(value)
        elif field.name in PORTS:
            return self._ports.get(value, value)
        return value


def words(documents: list[Any], node: base_pb2.Node) -> Iterator[str]:
    for document in documents:
        metadata, spec = document["metadata"], document.get("spec") or {}
        yield metadata["name"]
        yield metadata.get("namespace", "default")
        yield from (metadata.get("labels") or {}).values()
        for host in spec.get("hosts") or ():
            yield from host.split(".")[:-1]
        for subset in spec.get("subsets") or ():
            yield from (subset["name"], *subset["labels"].values())
        for labels in (spec.get("labels"), (spec.get("workloadSelector") or {}).get("labels")):
            yield from (labels or {}).values()
        for endpoint in spec.get("endpoints") or ():
            yield from (endpoint.get("labels") or {}).values()
    yield node.metadata["NAMESPACE"]


def ports(documents: list[Any]) -> Iterator[int]:
    def found(value: Any, key: str = "") -> Iterator[int]:
        if isinstance(value, dict):
            for name, below in value.items():
                yield from found(below, "port" if key == "ports" else name)
        elif isinstance(value, list):
            for each in value:
                yield from found(each)
        elif isinstance(value, int) and key in PORTS:
            yield value

    return found(documents)


def everything() -> list[tuple[Scenario, Recording]]:
    if not ISTIOD.is_dir():
        return []
    return [(each, who) for each in scenarios(SCENARIOS, ISTIOD) for who in each.recordings if not who.mesh]


def loaded(scenario: Scenario) -> list[Any]:
    texts = [path.read_text() for path in (scenario.file, scenario.entries) if path is not None]
    return [each for text in texts for each in yaml.safe_load_all(text) if each is not None]


def projected(resources: Iterable[any_pb2.Any]) -> Plain:
    found: dict[str, Plain] = {}
    for resource in resources:
        plain = project(resource)
        assert isinstance(plain, dict)
        found[str(plain.get("cluster_name") or plain.get("name"))] = plain
    return found


@pytest.mark.parametrize("offset", [1000, 6000])
@pytest.mark.parametrize("ending", ["x", "-of-another-name"])
@pytest.mark.parametrize(
    ("scenario", "recording"),
    everything() or [(None, None)],
    ids=lambda each: each.name if isinstance(each, Scenario) else getattr(each, "who", ""),
)
def test_what_was_recorded_holds_under_other_names(
    scenario: Scenario | None, recording: Recording | None, ending: str, offset: int
) -> None:
    if scenario is None or recording is None:
        pytest.skip("recordings not beside the clone")
    documents = loaded(scenario)
    names = {word for word in words(documents, recording.node) if word not in MEANT and word != "*" and word}
    moved = set(ports(documents)) - ({80} if scenario.name in HOST_WITHOUT_SERVICE else set())
    renaming = Renaming(names, moved, ending=ending, offset=offset)
    renamed = renaming.document(documents)
    assert renamed != documents
    world = World()
    world = world.exchange((), parse(yaml.safe_dump_all(renamed), file="renamed.yaml").resources)
    node = copy.deepcopy(recording.node)
    renaming.message(node)
    served = asked_for(build(world, Proxy.parse(node), Mesh(admission=False, istio_filters=True)))
    for stem, url in FILES.items():
        expected = projected(renaming.packed(each) for each in recording.sent[url])
        found = projected(served[url])
        assert list(differences({stem: expected}, {stem: found}, "")) == []
