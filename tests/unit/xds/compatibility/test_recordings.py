"""What a real istiod sent, through the eyes of a stock Envoy and of Istio's own."""

from pathlib import Path

import pytest
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2  # noqa: F401  # packed in one
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from tests.conftest import RECORDINGS
from tests.unit.lab.recorded import stripped
from tests.unit.xds.compatibility.nodes import ISTIO_TYPES, istios, node, stock
from vmagent.xds.compatibility import Compatibility

ISTIOD = RECORDINGS / "istiod-1.29.6"
WHOLE = sorted(
    path for path in ISTIOD.glob("*/*/*.pb") if path.name[:3] in ("cds", "eds", "lds", "nds", "rds")
)
DELTA = sorted(ISTIOD.glob("delta-session/*-response.pb"))

pytestmark = pytest.mark.skipif(not WHOLE, reason="../shared/recordings is not present")


def resources(path: Path) -> list[any_pb2.Any]:
    if path in WHOLE:
        return list(discovery_pb2.DiscoveryResponse.FromString(path.read_bytes()).resources)
    return [
        each.resource for each in discovery_pb2.DeltaDiscoveryResponse.FromString(path.read_bytes()).resources
    ]


def name(path: Path) -> str:
    return "/".join(path.parts[-3:])


@pytest.mark.parametrize("path", [*WHOLE, *DELTA], ids=name)
def test_a_stock_envoy_gets_it_without_istios_extensions_and_without_any_other_change(path: Path) -> None:
    compatibility = stock()
    for each in resources(path):
        adapted = compatibility.resource(each.type_url, each.value)
        assert isinstance(adapted, bytes), adapted
        assert stripped(any_pb2.Any(type_url=each.type_url, value=adapted)) == stripped(each)
        assert not [word for word in (*ISTIO_TYPES, "istio.stats", "istio.alpn") if word.encode() in adapted]
        assert _entries(adapted) == 0
    assert not compatibility.account.refused


@pytest.mark.parametrize("path", [*WHOLE, *DELTA], ids=name)
@pytest.mark.parametrize("says", ["types", "names"])
def test_istios_envoy_gets_every_byte_as_it_came(path: Path, says: str) -> None:
    names = ("istio.alpn", "istio.metadata_exchange", "istio.stats")
    compatibility = istios() if says == "types" else Compatibility.of(node(names=names))
    for each in resources(path):
        value = each.value
        assert compatibility.resource(each.type_url, value) is value
    assert not compatibility.account.taken_out


def test_the_account_tells_what_was_taken_out_of_what() -> None:
    compatibility = stock()
    for path in WHOLE:
        for each in resources(path):
            compatibility.resource(each.type_url, each.value)
    assert compatibility.account.taken_out == {
        "istio.metadata_exchange": ("Cluster", "Listener"),
        "istio.metadata_exchange (HTTP)": ("Listener",),
        "istio.alpn": ("Listener",),
        "istio.stats": ("Listener",),
    }


def _entries(value: bytes) -> int:
    """How often the protocol of metadata exchange stands in the list of a TLS context (field 4)."""
    return value.count(b'"\x13istio-peer-exchange')
