"""In whatever place of a resource it sits, what an Envoy lacks is found, and taken out or refused."""

import pytest
from envoy.config.core.v3.config_source_pb2 import ExtensionConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import FilterConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from google.protobuf import any_pb2
from google.protobuf.message import Message

from lab.controlplane.snapshot.packing import pack
from tests.unit.xds.compatibility import built
from tests.unit.xds.compatibility.built import PLACES, Builder, as_struct, composite, typed
from tests.unit.xds.compatibility.nodes import istios, node, stock
from tests.unit.xds.compatibility.plain import plain
from vmagent.xds.compatibility import Compatibility, Refusal

OUT = {
    "istio.stats": typed("stats.PluginConfig", b"\x30\x01"),
    "istio.metadata_exchange": as_struct("io.istio.http.peer_metadata.Config"),
    "waypoint_upstream_peer_metadata": as_struct("io.istio.http.peer_metadata.Config", "xds.type.v3"),
}
KEPT = {
    "envoy.filters.http.cors": typed("envoy.extensions.filters.http.cors.v3.Cors"),
    "another": typed("envoy.extensions.filters.http.fault.v3.HTTPFault"),
}
AUTHN = typed("istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig")
UNKNOWN = as_struct("com.example.nobody.knows.v1.Config")

everywhere = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)


def adapted(compatibility: Compatibility, message: Message) -> bytes | Refusal:
    url = built.PREFIX + message.DESCRIPTOR.full_name
    return compatibility.resource(url, message.SerializeToString(deterministic=True))


def as_message(found: bytes | Refusal, like: Message) -> object:
    assert isinstance(found, bytes), found
    return plain(type(like).FromString(found))


@everywhere
def test_what_observes_is_taken_out_and_all_around_it_stays(place: Builder) -> None:
    compatibility = stock()
    found = adapted(compatibility, place({**KEPT, **OUT}))
    expected = place(KEPT)
    assert as_message(found, expected) == plain(expected)
    assert set(compatibility.account.taken_out) == {"istio.stats", "istio.metadata_exchange (HTTP)"}


@everywhere
@pytest.mark.parametrize("config", [AUTHN, UNKNOWN], ids=["authentication", "unknown"])
def test_what_may_decide_makes_the_resource_refused_with_the_reason(
    place: Builder, config: any_pb2.Any
) -> None:
    found = adapted(stock(), place({**OUT, "the_check": config, **KEPT}))
    assert isinstance(found, Refusal)
    assert found.reason.startswith("the_check (")
    assert ("authentication" if config is AUTHN else "unknown") in found.reason
    assert ("authn.v2alpha1" if config is AUTHN else "com.example.nobody.knows.v1.Config") in found.reason


@everywhere
def test_what_the_envoy_has_passes_as_the_same_bytes(place: Builder) -> None:
    for compatibility, extensions in (
        (stock(), KEPT),
        (istios(), {**OUT, **KEPT, "istio_authn": AUTHN}),
        (Compatibility.untold(), {**OUT, **KEPT, "istio_authn": AUTHN, "the_check": UNKNOWN}),
    ):
        message = place(extensions)
        value = message.SerializeToString()
        assert compatibility.resource(built.PREFIX + message.DESCRIPTOR.full_name, value) is value


def test_a_filter_that_ran_by_a_matcher_leaves_the_matcher_as_it_is_and_runs_nothing() -> None:
    found = adapted(stock(), composite({**KEPT, **OUT}))
    expected = composite(KEPT, skipped=tuple(OUT))
    assert as_message(found, expected) == plain(expected)
    refused = adapted(stock(), composite({**KEPT, "istio_authn": AUTHN}))
    assert isinstance(refused, Refusal)


def test_a_filter_that_envoy_may_do_without_is_left_to_envoy() -> None:
    message = built.http_filters({**KEPT, "istio_authn": AUTHN})
    ours = type(message).FromString(message.SerializeToString())
    manager = HttpConnectionManager()
    ours.filter_chains[0].filters[0].typed_config.Unpack(manager)
    for each in manager.http_filters:
        each.is_optional = True
    ours.filter_chains[0].filters[0].typed_config.Pack(manager)
    value = ours.SerializeToString()
    assert stock().resource(built.PREFIX + ours.DESCRIPTOR.full_name, value) is value


def test_a_route_may_switch_off_a_filter_that_is_gone_and_may_do_without_its_own() -> None:
    config = FilterConfig(config=AUTHN, is_optional=True)
    message = built.route({"istio.stats": pack(FilterConfig(disabled=True)), "b": pack(config)})
    value = message.SerializeToString()
    assert stock().resource(built.PREFIX + message.DESCRIPTOR.full_name, value) is value


def test_an_extension_that_comes_later_loses_the_types_that_are_missing_and_goes_with_the_last() -> None:
    stats, cors = OUT["istio.stats"].type_url, KEPT["envoy.filters.http.cors"].type_url

    def discovered(*types: str) -> Listener:
        source = ExtensionConfigSource(type_urls=types)
        source.config_source.ads.SetInParent()
        each = HttpFilter(name="later", config_discovery=source)
        return built.managed(HttpConnectionManager(http_filters=[each] if types else []))

    compatibility = stock()
    assert as_message(adapted(compatibility, discovered(stats, cors)), discovered()) == plain(
        discovered(cors)
    )
    assert as_message(adapted(compatibility, discovered(stats)), discovered()) == plain(discovered())
    refused = adapted(compatibility, discovered(cors, AUTHN.type_url))
    assert isinstance(refused, Refusal)


def test_an_extension_delivered_by_itself_is_judged_like_one_in_its_place() -> None:
    def alone(config: any_pb2.Any) -> bytes | Refusal:
        return adapted(stock(), TypedExtensionConfig(name="it", typed_config=config))

    assert alone(OUT["istio.stats"]) == b"", "nothing is left of it"
    assert isinstance(alone(AUTHN), Refusal)
    manager = HttpConnectionManager(http_filters=built.http({**OUT, **KEPT}))
    expected = HttpConnectionManager(http_filters=built.http(KEPT))
    found = alone(pack(manager))
    assert isinstance(found, bytes)
    assert plain(TypedExtensionConfig.FromString(found).typed_config) == plain(pack(expected))


def test_a_filter_without_a_type_goes_by_its_name() -> None:
    message = built.listener(Filter(name="istio.stats"), Filter(name="something.else"))
    expected = built.listener(Filter(name="something.else"))
    assert as_message(adapted(stock(), message), expected) == plain(expected)
    old = Compatibility.of(node(names=("istio.stats", "envoy.router")))
    value = message.SerializeToString()
    assert old.resource(built.PREFIX + message.DESCRIPTOR.full_name, value) is value


def test_an_envoy_that_lists_names_alone_is_taken_to_have_whatever_is_not_istios() -> None:
    old = Compatibility.of(node(names=("envoy.filters.http.router",)))
    kept = {**KEPT, "the_check": UNKNOWN, "rbac": typed("envoy.extensions.filters.http.rbac.v3.RBAC")}
    found = adapted(old, built.http_filters({**kept, **OUT}))
    assert as_message(found, built.http_filters(kept)) == plain(built.http_filters(kept))
    assert isinstance(adapted(old, built.http_filters({"istio_authn": AUTHN})), Refusal)


def test_what_cannot_be_read_goes_on_as_it_came() -> None:
    value = b"\x1a\x05" + b"istio.stats"
    assert stock().resource(built.PREFIX + "envoy.config.listener.v3.Listener", value) is value


def test_types_that_hold_no_extension_are_not_looked_into() -> None:
    value = b"no message at all: istio.stats type.googleapis.com/stats.PluginConfig"
    for name in ("endpoint.v3.ClusterLoadAssignment", "anything.v3.Else"):
        assert stock().resource(f"{built.PREFIX}envoy.config.{name}", value) is value
