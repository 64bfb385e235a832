"""A real istiod's incremental stream, played to the session with the recorded proxy in Envoy's place."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from tests.conftest import RECORDINGS
from vmagent.xds import delta, types
from vmagent.xds.intercept import NameTableIntercept
from vmagent.xds.messages import DeltaAsk, DeltaRequest, EnvoyOpened, Event, Give, Take, UpstreamOpened
from vmagent.xds.session import Session

STREAM = RECORDINGS / "istiod-1.29.6" / "delta-session"
RECORDED = sorted(STREAM.glob("*.pb"))

pytestmark = pytest.mark.skipif(not RECORDED, reason="../shared/recordings is not present")


class Player:
    """``asked`` goes to istiod, ``gave`` to Envoy."""

    def __init__(self) -> None:
        self.session = Session((types.CLUSTER, types.LISTENER, types.NAME_TABLE))
        self.names = NameTableIntercept()
        self.asked: list[DeltaDiscoveryRequest] = []
        self.gave: list[bytes] = []

    def happens(self, event: Event) -> None:
        for command in self.session.on(event):
            match command:
                case DeltaAsk():
                    self.asked.append(DeltaDiscoveryRequest.FromString(delta.encode_request(command, None)))
                case Give():
                    self.gave.append(delta.encode_response(command))
                case Take():
                    self.happens(self.names.take(command.update))

    def play(self) -> None:
        self.happens(UpstreamOpened(delta=True))
        self.happens(EnvoyOpened(delta=True))
        for path in RECORDED:
            if path.stem.endswith("response"):
                self.happens(delta.decode_response(path.read_bytes()))
            elif (request := delta.decode_request(path.read_bytes())[0]).type_url != types.NAME_TABLE:
                self.happens(request)


@pytest.fixture
def played() -> Player:
    player = Player()
    player.play()
    return player


def requests() -> Iterator[DeltaDiscoveryRequest]:
    for path in RECORDED:
        if path.stem.endswith("request"):
            yield _without_node(path)


def _without_node(path: Path) -> DeltaDiscoveryRequest:
    request = DeltaDiscoveryRequest.FromString(path.read_bytes())
    request.ClearField("node")
    return request


def responses(*, of: str = "") -> list[Path]:
    every = [path for path in RECORDED if path.stem.endswith("response")]
    return [path for path in every if not of or _of(path).type_url == of]


def _of(path: Path) -> DeltaDiscoveryResponse:
    return DeltaDiscoveryResponse.FromString(path.read_bytes())


def test_istiod_is_asked_what_the_recorded_proxy_asked_and_nothing_else(played: Player) -> None:
    assert played.asked == list(requests())


def test_envoy_gets_every_response_byte_for_byte_but_for_the_name_tables(played: Player) -> None:
    tables = responses(of=types.NAME_TABLE)
    assert played.gave == [path.read_bytes() for path in responses() if path not in tables]
    assert len(tables) == 3
    assert list(played.names.tables.value or ()) == ["nginx.jd.com"]


def test_everything_of_the_end_is_held_for_the_next_envoy(played: Player) -> None:
    expected: dict[str, dict[str, bytes]] = {}
    for path in responses():
        response = _of(path)
        of_type = expected.setdefault(response.type_url, {})
        of_type |= {each.name: each.resource.value for each in response.resources}
        for name in response.removed_resources:
            of_type.pop(name, None)
    del expected[types.NAME_TABLE]
    played.gave.clear()
    played.happens(EnvoyOpened(delta=True))
    for url, of_type in expected.items():
        played.happens(DeltaRequest(url, frozenset(() if url in types.WHOLE else of_type)))
    found = [DeltaDiscoveryResponse.FromString(data) for data in played.gave]
    assert {each.type_url: {one.name: one.resource.value for one in each.resources} for each in found} == (
        expected
    )
    assert not [each for each in found if each.removed_resources]


def test_an_istiod_that_sends_all_of_it_again_after_a_reconnect_has_no_news_for_envoy(played: Player) -> None:
    played.happens(UpstreamOpened(delta=True))
    told = {each.type_url: dict(each.initial_resource_versions) for each in played.asked[-5:]}
    assert told[types.CLUSTER] == dict.fromkeys(
        ("BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster", "outbound|80||nginx.jd.com",
         "outbound|80|vm|nginx.jd.com", "outbound|80|docker|nginx.jd.com"), ""
    )  # fmt: skip
    assert told[types.NAME_TABLE] == {"": ""}
    played.gave.clear()
    everything: dict[str, DeltaDiscoveryResponse] = {}
    for path in responses():
        response = _of(path)
        newest = everything.setdefault(response.type_url, DeltaDiscoveryResponse(type_url=response.type_url))
        kept = [
            each
            for each in newest.resources
            if each.name not in {*response.removed_resources, *(one.name for one in response.resources)}
        ]
        del newest.resources[:]
        newest.resources.extend([*kept, *response.resources])
        newest.nonce = "again"
    for url in (types.CLUSTER, types.LISTENER, types.ENDPOINT, types.ROUTE, types.NAME_TABLE):
        played.happens(delta.decode_response(everything[url].SerializeToString()))
    assert played.gave == []
    assert [each.response_nonce for each in played.asked[-5:]] == ["again"] * 5
