"""What Envoy is told at start, setting by setting."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.envoy.examples import VM, ZIPKIN, vm
from vmagent.envoy.arguments import environment
from vmagent.envoy.bootstrap import bootstrap, left_out
from vmagent.envoy.config import EnvoyConfig, Json, Ports
from vmagent.envoy.tracing import tracer
from vmagent.errors import Misconfigured


def cluster(config: EnvoyConfig, name: str) -> dict[str, Any]:
    made: Any = bootstrap(config)
    found: dict[str, Any] = {each["name"]: each for each in made["static_resources"]["clusters"]}[name]
    return found


def listener(config: EnvoyConfig, name: str) -> dict[str, Any]:
    made: Any = bootstrap(config)
    found: dict[str, Any] = {each["name"]: each for each in made["static_resources"]["listeners"]}[name]
    return found


def test_the_documents_zipkin_becomes_a_tracer_that_nobody_waits_for() -> None:
    made: Any = bootstrap(vm(proxy_config=ZIPKIN))
    assert made["tracing"]["http"]["name"] == "envoy.tracers.zipkin"
    zipkin = cluster(vm(proxy_config=ZIPKIN), "zipkin")
    assert zipkin["wait_for_warm_on_init"] is False
    assert zipkin["type"] == "STRICT_DNS"
    assert zipkin["dns_refresh_rate"] == "30s"
    assert address(zipkin) == ("zipkin.istio-system", 9411)


def address(of: dict[str, Any]) -> tuple[str, int]:
    where = of["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    return where["address"], where["port_value"]


REMOTES: dict[str, dict[str, Json]] = {
    "zipkin": ZIPKIN,
    "datadog_agent": {"tracing": {"datadog": {"address": "dd:8126"}}},
    "lightstep": {"tracing": {"lightstep": {"address": "ls:443", "accessToken": "hunter2"}}},
    "envoy_metrics_service": {"envoyMetricsService": {"address": "metrics:15000"}},
    "envoy_accesslog_service": {"envoyAccessLogService": {"address": "logs:15000"}},
}


@pytest.mark.parametrize("name", REMOTES)
def test_no_collector_with_a_name_keeps_envoy_from_asking_for_its_configuration(name: str) -> None:
    assert cluster(vm(proxy_config=REMOTES[name]), name)["wait_for_warm_on_init"] is False


def test_the_old_field_for_zipkin_still_works() -> None:
    assert address(cluster(vm(proxy_config={"zipkinAddress": "[fd00::7]:9411"}), "zipkin")) == (
        "fd00::7",
        9411,
    )


def test_host_ip_is_put_in_where_an_address_asks_for_it() -> None:
    config = vm(proxy_config={"tracing": {"datadog": {"address": "$(HOST_IP):8126"}}}, host_ip="10.1.2.3")
    assert address(cluster(config, "datadog_agent")) == ("10.1.2.3", 8126)


def test_zipkin_wins_over_lightstep_and_lightstep_over_datadog() -> None:
    both: dict[str, Json] = {
        "tracing": {"datadog": {"address": "dd:1"}, "lightstep": {"address": "ls:1", "accessToken": "t"}}
    }
    made: Any = bootstrap(vm(proxy_config=both))
    assert made["tracing"]["http"]["name"] == "envoy.tracers.opentelemetry"


def test_lightsteps_access_token_is_nowhere_in_the_bootstrap() -> None:
    proxy = REMOTES["lightstep"]
    config = vm(node=replace(VM.node, metadata={"PROXY_CONFIG": proxy}), proxy_config=proxy)
    text = json.dumps(bootstrap(config))
    assert "hunter2" not in text
    assert "%ENVIRONMENT(LIGHTSTEP_ACCESS_TOKEN)%" in text
    assert environment(config)["LIGHTSTEP_ACCESS_TOKEN"] == "hunter2"
    assert "hunter2" not in repr(tracer(config))


def test_lightstep_without_a_token_names_the_field() -> None:
    with pytest.raises(Misconfigured, match="accessToken is missing"):
        bootstrap(vm(proxy_config={"tracing": {"lightstep": {"address": "ls:443"}}}))


def test_statsd_and_the_metrics_service_are_sinks() -> None:
    proxy: dict[str, Json] = {
        "statsdUdpAddress": "10.0.0.9:9125",
        "envoyMetricsService": {
            "address": "m:1",
            "tcpKeepalive": {"probes": 3, "time": "10s", "interval": "1m"},
        },
    }
    made: Any = bootstrap(vm(proxy_config=proxy))
    names = [sink["name"] for sink in made["stats_sinks"]]
    assert names == ["envoy.stat_sinks.metrics_service", "envoy.stat_sinks.statsd"]
    keepalive = cluster(vm(proxy_config=proxy), "envoy_metrics_service")["upstream_connection_options"]
    assert keepalive == {
        "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 10, "keepalive_interval": 60}
    }


def test_what_is_left_out_is_said() -> None:
    proxy: dict[str, Json] = {"tracing": {"stackdriver": {}}, "statsdUdpAddress": "statsd.local:9125"}
    said = list(left_out(vm(proxy_config=proxy, metadata_discovery=True)))
    assert [sentence.split(":")[0] for sentence in said] == [
        "tracing.stackdriver",
        "statsdUdpAddress",
        "PEER_METADATA_DISCOVERY",
    ]
    assert "stats_sinks" not in bootstrap(vm(proxy_config=proxy))
    assert list(left_out(VM)) == []


def test_an_ipv6_machine_listens_and_looks_up_in_ipv6() -> None:
    config = vm(ips=("fd00::1",), proxy_config=ZIPKIN)
    made: Any = bootstrap(config)
    assert made["admin"]["address"]["socket_address"]["address"] == "::1"
    assert listener(config, "::_15021")["address"]["socket_address"]["address"] == "::"
    assert cluster(config, "zipkin")["dns_lookup_family"] == "V6_ONLY"
    assert address(cluster(config, "agent")) == ("::1", 15020)


@pytest.mark.parametrize(
    ("ips", "first", "also"),
    [
        (("fd00::1", "10.0.0.1"), "::", "0.0.0.0"),
        (("10.0.0.1", "fd00::1"), "0.0.0.0", "::"),
        (("fe80::1", "10.0.0.1"), "0.0.0.0", "::"),
    ],
)
def test_a_dual_stack_machine_has_both_families_on_one_listener(
    ips: tuple[str, ...], first: str, also: str
) -> None:
    health = listener(vm(ips=ips, dual_stack=True), f"{first}_15021")
    assert health["additional_addresses"][0]["address"]["socket_address"]["address"] == also


def test_mixed_addresses_mean_ipv4_unless_dual_stack_was_asked_for() -> None:
    assert "additional_addresses" not in listener(vm(ips=("fd00::1", "10.0.0.1")), "0.0.0.0_15021")


def test_metrics_can_be_kept_on_the_machine() -> None:
    listener(vm(metrics_localhost_only=True), "127.0.0.1_15090")
    listener(vm(proxy_config={"proxyMetadata": {"METRICS_LOCALHOST_ACCESS_ONLY": "true"}}), "127.0.0.1_15090")


def test_compression_of_statistics_can_be_switched_off() -> None:
    made = listener(vm(proxy_config={"statsCompression": False}), "0.0.0.0_15090")
    filters = made["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    assert [each["name"] for each in filters] == ["envoy.filters.http.router"]


def test_secure_metrics_ask_for_a_certificate_of_the_mesh() -> None:
    config = vm(ports=Ports(secure_metrics=15091, secure_merged_metrics=15092))
    for name in ("0.0.0.0_15091", "0.0.0.0_15092"):
        chain = listener(config, name)["filter_chains"][0]
        assert chain["filter_chain_match"] == {"transport_protocol": "tls"}
        assert chain["transport_socket"]["typed_config"]["require_client_certificate"] is True


def test_the_health_listener_understands_the_proxy_protocol_on_request() -> None:
    made = listener(vm(status_proxy_protocol=True), "0.0.0.0_15021")
    assert made["listener_filters"][0]["typed_config"]["allow_requests_without_proxy_protocol"] is True


def test_runtime_values_add_change_and_remove_flags() -> None:
    values: dict[str, Json] = {"re2.max_program_size.error_level": "", "a.b": "true", "c": "7"}
    made: Any = bootstrap(vm(proxy_config={"runtimeValues": values}, fips=True))
    flags = made["layered_runtime"]["layers"][0]["static_layer"]
    assert "re2.max_program_size.error_level" not in flags
    assert (flags["a.b"], flags["c"]) == (True, "7")
    assert flags["envoy.reloadable_features.google_grpc_disable_tls_13"] is True


@pytest.mark.parametrize(
    ("proxy", "limit"),
    [
        ({}, 2147483647),
        ({"connectionSettings": {"globalDownstreamConnectionLimit": 10}}, 10),
        ({"proxyMetadata": {"ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS": "20"}}, 20),
        ({"runtimeValues": {"overload.global_downstream_max_connections": "30"}}, 30),
    ],
)
def test_the_connection_limit_has_three_places_in_order(proxy: dict[str, Json], limit: int) -> None:
    made: Any = bootstrap(vm(proxy_config=proxy))
    monitor = made["overload_manager"]["resource_monitors"][0]["typed_config"]
    assert monitor["max_active_downstream_connections"] == limit


def test_self_discovery_outlier_log_and_load_reports_need_a_cluster_manager() -> None:
    metadata: dict[str, Json] = {
        "ENABLE_SELF_DISCOVERY": "true",
        "LOAD_STATS_CONFIG_JSON": '{"api_type":"GRPC"}',
    }
    config = vm(node=replace(VM.node, metadata=metadata), outlier_log=VM.data_dir / "outliers")
    made: Any = bootstrap(config)
    assert made["cluster_manager"] == {
        "local_cluster_name": "local_cluster",
        "outlier_detection": {"event_log_path": "/var/lib/istio/data/outliers"},
        "load_stats_config": {"api_type": "GRPC"},
        "enable_deferred_cluster_creation": True,
    }
    assert cluster(config, "local_cluster")["type"] == "EDS"
    assert "cluster_manager" not in bootstrap(VM)


def test_broken_json_for_load_reports_names_its_variable() -> None:
    broken = vm(node=replace(VM.node, metadata={"LOAD_STATS_CONFIG_JSON": "{"}))
    with pytest.raises(Misconfigured, match="ISTIO_META_LOAD_STATS_CONFIG_JSON"):
        bootstrap(broken)


def test_certificates_from_files_bring_their_own_socket() -> None:
    config = vm(node=replace(VM.node, metadata={"file-credential": "true"}))
    cluster(config, "sds-files-grpc")


def test_logs_can_be_json() -> None:
    made: Any = bootstrap(vm(log_as_json=True))
    assert made["application_log_config"]["log_format"]["json_format"]["msg"] == "%j"


def test_a_quote_in_a_name_does_not_break_the_file() -> None:
    name = 'vm"\\\n'
    made = json.loads(json.dumps(bootstrap(vm(node=replace(VM.node, cluster=name)))))
    assert made["node"]["cluster"] == name


def test_a_template_is_refused_with_a_way_out() -> None:
    with pytest.raises(Misconfigured) as refused:
        bootstrap(vm(proxy_config={"proxyBootstrapTemplatePath": "/x"}))
    assert "ISTIO_BOOTSTRAP_OVERRIDE" in refused.value.hint


@pytest.mark.parametrize(
    "proxy",
    [
        {"tracing": {"zipkin": {"address": "zipkin"}}},
        {"tracing": {"zipkin": {"address": "zipkin:0"}}},
        {"tracing": []},
        {"tracing": {"zipkin": {"address": 7}}},
        {"extraStatTags": "one"},
        {"connectionSettings": {"globalDownstreamConnectionLimit": -1}},
        {"statsdUdpAddress": ":9125"},
        {"envoyMetricsService": {"address": "m:1", "tcpKeepalive": {"time": "soon"}}},
    ],
)
def test_a_value_of_the_wrong_kind_is_named(proxy: dict[str, Json]) -> None:
    with pytest.raises(Misconfigured):
        bootstrap(vm(proxy_config=proxy))
