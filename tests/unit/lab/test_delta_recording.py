"""The recorded delta stream of a real istiod, played again: the same requests and the same changes of the
mesh, and what istiod said that was news."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane import type_urls
from lab.controlplane.delta import DeltaSession
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.session import Accepted, Command, Refreshed, RespondDelta
from lab.controlplane.snapshot import Snapshot, build
from lab.controlplane.wire import DELTA
from tests.unit.lab.recorded import ISTIOD, node, scenario_world

FOLDER = ISTIOD / "delta-session"

SECOND_VM = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: nginx-192.168.0.205, namespace: istio-demo}
spec: {address: 192.168.0.205, labels: {app: nginx, class: vm}, serviceAccount: vm}
"""
SECOND_SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: second, namespace: istio-demo}
spec:
  hosts: [second.jd.com]
  location: MESH_INTERNAL
  ports: [{name: http, number: 8080, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.168.0.70}]
"""
WEIGHTS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: nginx-vs, namespace: istio-demo}
spec:
  hosts: [nginx.jd.com]
  http:
  - name: http-nginx-route
    route:
    - {destination: {host: nginx.jd.com, subset: vm}, weight: 40}
    - {destination: {host: nginx.jd.com, subset: docker}, weight: 60}
"""
CHANGED_BEFORE = {16: "weights", 22: "second VM", 24: "no second VM", 26: "second service", 40: "no second"}
"""Number of the first response after each change (README and index.txt of the recording)."""


@dataclass(frozen=True, slots=True)
class News:
    """What one response says that the client did not know."""

    type_url: str
    changed: frozenset[str]
    removed: frozenset[str]


@pytest.fixture
def messages() -> list[tuple[int, bytes]]:
    if not FOLDER.is_dir():
        pytest.skip("recording delta-session not present")
    return [(int(path.name[:3]), path.read_bytes()) for path in sorted(FOLDER.glob("*.pb"))]


def worlds() -> dict[str, World]:
    def only(text: str) -> World:
        return World.of(parse(text, file="change.yaml").resources)

    first = scenario_world("02-vm-and-pod-shift")
    weights = first
    for resource in only(WEIGHTS).resources.values():
        weights = weights.replace(resource)
    vm, second = (tuple(only(text).resources.values()) for text in (SECOND_VM, SECOND_SERVICE))
    return {
        "first": first,
        "weights": weights,
        "second VM": weights.exchange((), vm),
        "no second VM": weights,
        "second service": weights.exchange((), second),
        "no second": weights,
    }


def snapshots() -> dict[str, Snapshot]:
    proxy = Proxy.parse(node("client"))
    return {name: build(world, proxy, Mesh()) for name, world in worlds().items()}


def is_request(number: int) -> bool:
    return (FOLDER / f"{number:03}-request.pb").exists()


def istiods_news(messages: list[tuple[int, bytes]]) -> list[News]:
    """Without what the client already held, byte for byte."""
    held: dict[tuple[str, str], bytes] = {}
    found = []
    for number, data in messages:
        if is_request(number):
            continue
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
        url = response.type_url
        new = {each.name: each.resource.value for each in response.resources}
        changed = frozenset(name for name, value in new.items() if held.get((url, name)) != value)
        held.update({(url, name): value for name, value in new.items()})
        for name in response.removed_resources:
            held.pop((url, name), None)
        if changed or response.removed_resources:
            found.append(News(url, changed, frozenset(response.removed_resources)))
    return found


def our_news(commands: list[Command]) -> Iterator[News]:
    for each in commands:
        if isinstance(each, RespondDelta) and (each.resources or each.removed):
            yield News(each.type_url, frozenset(each.resources), frozenset(each.removed))


def replay(messages: list[tuple[int, bytes]]) -> list[Command]:
    """The recorded requests with our own nonces. A change comes where istiod's first response to it came."""
    mesh = snapshots()
    session = DeltaSession((str(number) for number in itertools.count(1)), mesh["first"])
    said: list[Command] = []
    unanswered: dict[str, str] = {}
    for number, data in messages:
        commands: list[Command] = []
        if change := CHANGED_BEFORE.get(number):
            commands = session.on(Refreshed(snapshot=mesh[change]))
        if is_request(number):
            message = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
            if message.response_nonce:
                nonce = unanswered.pop(message.type_url, None)
                if nonce is None:
                    continue  # the answer to a response that held no news
                message.response_nonce = nonce
            commands = session.on(DELTA.read(message))
        unanswered |= {each.type_url: each.nonce for each in commands if isinstance(each, RespondDelta)}
        said += commands
    return said


def test_our_news_are_istiods(messages: list[tuple[int, bytes]]) -> None:
    ours, theirs = list(our_news(replay(messages))), istiods_news(messages)
    for url in type_urls.PUSH_ORDER:
        assert [each for each in ours if each.type_url == url] == [
            each for each in theirs if each.type_url == url
        ]


def test_every_response_is_accepted(messages: list[tuple[int, bytes]]) -> None:
    said = replay(messages)
    responses = [each for each in said if isinstance(each, RespondDelta)]
    assert len([each for each in said if isinstance(each, Accepted)]) == len(responses)


def test_the_recording_is_the_one_that_is_described() -> None:
    if not FOLDER.is_dir():
        pytest.skip("recording delta-session not present")
    index = (FOLDER / "index.txt").read_text().splitlines()
    assert len(index) == len(list(Path(FOLDER).glob("*.pb")))
    for number in CHANGED_BEFORE:
        assert "response" in index[number - 1]
