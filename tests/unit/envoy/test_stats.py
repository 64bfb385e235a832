from typing import Any

import pytest

from tests.unit.envoy.examples import VM, annotated, vm
from vmagent.envoy import document, stats
from vmagent.envoy.config import EnvoyConfig, Json


def patterns(config: EnvoyConfig) -> list[tuple[str, str]]:
    made: Any = stats.stats_config(config)
    found = []
    for each in made["stats_matcher"]["inclusion_list"]["patterns"]:
        ((kind, what),) = each.items()
        found.append((kind, what["regex"] if kind == "safe_regex" else what))
    return found


def test_an_operator_can_ask_for_the_handshake_counter() -> None:
    proxy: dict[str, Json] = {"proxyStatsMatcher": {"inclusionRegexps": [r".*ssl\.handshake"]}}
    found = patterns(vm(proxy_config=proxy))
    assert ("safe_regex", r".*ssl\.handshake") in found
    assert found.index(("safe_regex", r".*ssl\.handshake")) < found.index(("prefix", "component"))


def test_the_operators_items_stand_before_istios() -> None:
    proxy: dict[str, Json] = {
        "proxyStatsMatcher": {"inclusionPrefixes": ["http."], "inclusionSuffixes": ["upstream_rq_retry"]}
    }
    found = patterns(vm(proxy_config=proxy))
    assert found[:3] == [("prefix", "reporter="), ("prefix", "http."), ("prefix", "cluster_manager")]
    assert found.index(("suffix", "upstream_rq_retry")) == found.index(("suffix", "rbac.allowed")) - 1


def test_an_annotation_replaces_the_mesh_files_matcher() -> None:
    config = annotated(statsInclusionPrefixes="a, b")
    assert patterns(config)[1:3] == [("prefix", "a"), ("prefix", "b")]


def test_pod_ip_stands_for_each_address() -> None:
    proxy: dict[str, Json] = {"proxyStatsMatcher": {"inclusionPrefixes": ["listener.{pod_ip}"]}}
    found = patterns(vm(proxy_config=proxy, ips=("10.0.0.1", "10.0.0.2")))
    assert found[1:3] == [("prefix", "listener.10.0.0.1"), ("prefix", "listener.10.0.0.2")]


def test_extra_tags_come_once_and_after_istios_first_nine() -> None:
    made: Any = stats.stats_config(vm(proxy_config={"extraStatTags": ["team", "team"]}))
    names = [tag["tag_name"] for tag in made["stats_tags"]]
    assert names.count("team") == 1
    assert names.index("team") == names.index("cache") - 1
    assert {"tag_name": "team", "regex": r"(team=\.=(.*?);\.;)"} in made["stats_tags"]


def test_workload_discovery_is_counted_where_it_exists() -> None:
    assert ("prefix", "workload_discovery") in patterns(vm(metadata_discovery=True))
    assert ("prefix", "workload_discovery") not in patterns(vm(metadata_discovery=True, delta_xds=False))


def test_intervals_reach_envoy_in_seconds() -> None:
    assert stats.flush(annotated(statsFlushInterval="1m0s", statsEvictionInterval="2m")) == {
        "stats_flush_interval": "60s",
        "stats_eviction_interval": "120s",
    }
    assert stats.flush(annotated(statsFlushInterval="500ms")) == {"stats_flush_interval": "0.5s"}
    assert stats.flush(VM) == {}


def test_an_eviction_that_is_no_multiple_of_the_flush_is_left_out() -> None:
    assert stats.flush(annotated(statsEvictionInterval="7s")) == {}


def test_histogram_buckets_come_from_an_annotation_sorted_by_prefix() -> None:
    made = stats.stats_config(annotated(statsHistogramBuckets='{"b": [1], "a": [2, 3]}'))
    assert made["histogram_bucket_settings"] == [
        {"match": {"prefix": "a"}, "buckets": [2, 3]},
        {"match": {"prefix": "b"}, "buckets": [1]},
    ]
    assert "histogram_bucket_settings" not in stats.stats_config(annotated(statsHistogramBuckets="{"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("0s", 0)]
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert document.seconds(text, key="k") == seconds
