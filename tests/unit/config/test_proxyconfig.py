"""How one ProxyConfig lies over another."""

from vmagent.config.model import Json
from vmagent.config.proxyconfig import DEFAULTS, PROXY_CONFIG, overlay
from vmagent.config.schema import Report, check


def test_a_field_that_is_set_replaces_the_whole_field_below() -> None:
    below: dict[str, Json] = {"tracing": {"zipkin": {"address": "z:1"}}, "meshId": "m"}
    assert overlay(below, {"tracing": {"sampling": 5}}) == {"tracing": {"sampling": 5}, "meshId": "m"}


def test_proxy_metadata_is_merged_key_by_key() -> None:
    below: dict[str, Json] = {"proxyMetadata": {"A": "1", "B": "1"}}
    assert overlay(below, {"proxyMetadata": {"B": "2"}}) == {"proxyMetadata": {"A": "1", "B": "2"}}


def test_five_of_the_proxy_headers_keep_an_earlier_value() -> None:
    below: dict[str, Json] = {
        "proxyHeaders": {"requestId": {"disabled": True}, "metadataExchangeHeaders": {"mode": "IN_MESH"}}
    }
    assert overlay(below, {"proxyHeaders": {"server": {"value": "x"}}}) == {
        "proxyHeaders": {"requestId": {"disabled": True}, "server": {"value": "x"}}
    }


def test_service_cluster_and_tracing_service_name_exclude_one_another() -> None:
    below: dict[str, Json] = {"serviceCluster": "istio-proxy"}
    named = overlay(below, {"tracingServiceName": "CANONICAL_NAME_ONLY"})
    assert named == {"tracingServiceName": "CANONICAL_NAME_ONLY"}
    assert overlay(named, {"serviceCluster": "x"}) == {"serviceCluster": "x"}


def test_neither_document_is_changed() -> None:
    below: dict[str, Json] = {"proxyMetadata": {"A": "1"}}
    above: dict[str, Json] = {"proxyMetadata": {"B": "2"}}
    overlay(below, above)
    assert (below, above) == ({"proxyMetadata": {"A": "1"}}, {"proxyMetadata": {"B": "2"}})


def test_the_defaults_are_valid() -> None:
    report = Report()
    assert check(dict(DEFAULTS), PROXY_CONFIG, (), report) == DEFAULTS
    assert (report.wrong, report.unknown) == ([], [])
