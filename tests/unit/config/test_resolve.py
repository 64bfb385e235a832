"""Which file wins, and what follows for each part of the agent."""

from pathlib import Path

import pytest

from vmagent.config.model import Address, KeyKind, ScrapeTarget
from vmagent.config.proxyconfig import DEFAULTS

from . import vm

# --- precedence ---------------------------------------------------------------------------------------------


def test_cluster_env_wins_over_sidecar_env_and_both_over_the_environment() -> None:
    environ = {"SECRET_TTL": "1h", "DNS_FORWARD_TIMEOUT": "1s", "ENVOY_STATUS_PORT": "15121"}
    config = vm.config(
        more="SECRET_TTL=3h\n", sidecar="SECRET_TTL=2h\nDNS_FORWARD_TIMEOUT=2s\n", environ=environ
    )
    assert config.credentials.ttl == 3 * 3600
    assert config.dns.forward_timeout == 2
    assert config.envoy.health_port == 15121
    assert [value.text for value in config.origins["SECRET_TTL"]] == ["3h", "2h", "1h", "24h"]
    assert str(config.origins["SECRET_TTL"][0].origin) == f"{vm.CLUSTER_PATH}:18"
    assert str(config.origins["SECRET_TTL"][1].origin) == f"{vm.SIDECAR_PATH}:1"


def test_cluster_env_may_refer_to_sidecar_env_and_to_the_environment() -> None:
    config = vm.config(
        sidecar="SITE=berlin\n", more="ISTIO_META_NETWORK=$SITE-$ROOM\n", environ={"ROOM": "7"}
    )
    assert config.workload.network == "berlin-7"


def test_the_mesh_files_proxy_metadata_counts_where_no_env_file_does() -> None:
    without = vm.CLUSTER_ENV.replace("ISTIO_META_DNS_CAPTURE='true'\n", "")
    config = vm.config(cluster=without)
    assert config.dns.enabled
    assert config.capture.values["ISTIO_META_DNS_CAPTURE"].text == "true"
    assert str(config.origins["ISTIO_META_DNS_CAPTURE"][0].origin) == f"{vm.MESH_PATH}:9"


@pytest.mark.parametrize("key", ["ISTIO_META_DNS_CAPTURE", "ISTIO_META_DNS_AUTO_ALLOCATE"])
@pytest.mark.parametrize(
    ("env", "mesh", "on"),
    [
        (None, None, False),
        (None, "true", True),
        (None, "false", False),
        ("true", None, True),
        ("true", "false", True),
        ("false", "true", False),
        ("'False'", None, False),
        ("1", None, True),
    ],
)
def test_dns_is_switched_on_and_off_from_either_file(
    key: str, env: str | None, mesh: str | None, on: bool
) -> None:
    cluster = vm.CLUSTER_ENV.replace("ISTIO_META_DNS_CAPTURE='true'\n", "")
    document = "defaultConfig: {}\n"
    if mesh is not None:
        document = f'defaultConfig:\n  proxyMetadata:\n    {key}: "{mesh}"\n'
    config = vm.config(cluster=cluster + (f"{key}={env}\n" if env else ""), mesh=document)
    found = config.dns.enabled if key == "ISTIO_META_DNS_CAPTURE" else config.dns.auto_allocate
    assert found is on
    if key == "ISTIO_META_DNS_CAPTURE":
        assert config.capture.values[key].text == str(on).lower()
    if env or mesh:
        assert config.node.metadata[key.removeprefix("ISTIO_META_")] == str(on).lower()


def test_names_may_be_answered_without_redirecting_queries() -> None:
    cluster = vm.CLUSTER_ENV.replace("DNS_CAPTURE", "ENABLE_DNS_SERVER")
    config = vm.config(cluster=cluster, mesh=None)
    assert config.dns.enabled
    assert config.capture.values["ISTIO_META_DNS_CAPTURE"].text == "false"


@pytest.mark.parametrize(
    ("more", "on"),
    [
        ("REDIRECT_DNS=true\n", True),
        ("REDIRECT_DNS=true\nISTIO_META_DNS_CAPTURE=false\n", False),
        ("REDIRECT_DNS=false\nISTIO_META_DNS_CAPTURE=true\n", True),
    ],
)
def test_queries_are_redirected_exactly_where_somebody_answers_them(more: str, on: bool) -> None:
    cluster = vm.CLUSTER_ENV.replace("ISTIO_META_DNS_CAPTURE='true'\n", "")
    config = vm.config(cluster=cluster + more, mesh=None)
    assert config.dns.enabled is on
    assert config.capture.values["ISTIO_META_DNS_CAPTURE"].text == str(on).lower()
    assert "REDIRECT_DNS" not in config.capture.values


def test_the_inline_proxy_config_lies_over_the_mesh_file() -> None:
    config = vm.config(more='PROXY_CONFIG=\'{"meshId":"m1","statusPort":15555}\'\n')
    assert config.status.port == 15555
    assert config.envoy.proxy_config["meshId"] == "m1"
    assert config.envoy.proxy_config["discoveryAddress"] == "istiod.istio-system.svc:15012"
    assert str(config.origins["defaultConfig.statusPort"][0].origin) == f"{vm.CLUSTER_PATH}:18 (PROXY_CONFIG)"


def test_without_any_file_of_the_mesh_the_defaults_of_istio_hold() -> None:
    config = vm.config(mesh=None)
    expected = {**DEFAULTS, "discoveryAddress": "istiod.istio-system.svc:15012"}
    assert config.envoy.proxy_config == {**expected, "serviceCluster": "nginx.istio-demo"}
    assert config.envoy.binary == Path("/usr/local/bin/envoy")
    assert (config.envoy.admin_port, config.status.port) == (15000, 15020)
    assert (config.envoy.drain_time, config.envoy.parent_shutdown_time) == (45, 60)
    assert (config.envoy.termination_drain, config.envoy.file_flush_interval) == (5, 1)


def test_an_empty_trust_domain_is_no_trust_domain() -> None:
    emptied = vm.CLUSTER_ENV.replace("TRUST_DOMAIN='cluster.local'", "TRUST_DOMAIN=''")
    assert vm.config(cluster=emptied).workload.trust_domain == "cluster.local"
    config = vm.config(cluster=emptied, mesh="trustDomain: td1.example.com\ndefaultConfig: {}\n")
    assert config.workload.trust_domain == "td1.example.com"


def test_the_namespace_of_the_start_script_wins_and_that_is_said() -> None:
    found = vm.resolved(cluster=vm.CLUSTER_ENV.replace("POD_NAMESPACE='istio-demo'", "POD_NAMESPACE='other'"))
    assert found.config.workload.namespace == "istio-demo"
    assert any("POD_NAMESPACE=other does not count" in note for note in found.notes)


def test_a_pods_environment_is_enough() -> None:
    environ = {
        "SERVICE_ACCOUNT": "default",
        "POD_NAMESPACE": "demo",
        "POD_NAME": "client-0",
        "INSTANCE_IP": "10.0.0.9",
    }
    config = vm.config(cluster=None, mesh=None, environ=environ)
    assert config.node.id == "sidecar~10.0.0.9~client-0.demo~demo.svc.cluster.local"
    assert config.workload.group == ""


# --- credentials --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("", ("EC", "P256", 2048)),
        ("ECC_SIGNATURE_ALGORITHM=ECDSA\nECC_CURVE=P384\n", ("EC", "P384", 2048)),
        ("ECC_SIGNATURE_ALGORITHM=\n", ("RSA", "P256", 2048)),
        ("WORKLOAD_RSA_KEY_SIZE=4096\n", ("RSA", "P256", 4096)),
        ("WORKLOAD_RSA_KEY_SIZE=4096\nECC_SIGNATURE_ALGORITHM=ECDSA\n", ("EC", "P256", 4096)),
    ],
)
def test_keys_are_elliptic_unless_rsa_is_asked_for(more: str, key: tuple[str, str, int]) -> None:
    found = vm.config(more=more).credentials.key
    assert (found.algorithm, found.curve, found.rsa_bits) == key
    assert isinstance(found, KeyKind)


# --- Envoy, status, capture, agent --------------------------------------------------------------------------


def test_flags_of_pilot_agent_are_honoured() -> None:
    flags = "--proxyLogLevel=info,upstream:debug --concurrency 2 --domain x.local --vklog=1"
    found = vm.resolved(more=f"ISTIO_AGENT_FLAGS='{flags} --log_output_level=dns:none,debug'\n")
    config = found.config
    assert (config.envoy.log_level, config.envoy.component_log_levels) == ("info", ("upstream:debug",))
    assert (config.envoy.concurrency, config.dns.domain, config.agent.log_level) == (2, "x.local", "debug")
    assert any("--vklog has no effect here" in note for note in found.notes)


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--proxyLogLvel=info", "remove --proxyLogLvel=info"),
        ("--proxyLogLevel=loud", "write LEVEL"),
        ("--concurrency=many", "write a whole number"),
        ("--stsPort=many", "write a whole number"),
        ("--log_output_level=loud", "write one of debug, info, warn, error"),
    ],
)
def test_a_bad_flag_is_an_error(flag: str, says: str) -> None:
    (line,) = vm.complaints(more=f"ISTIO_AGENT_FLAGS='{flag}'\n")
    assert line.startswith(f"{vm.CLUSTER_PATH}:18: ISTIO_AGENT_FLAGS=")
    assert says in line


def test_threads_of_envoy_are_as_many_as_somebody_says() -> None:
    assert vm.config().envoy.concurrency == 0
    assert vm.config(more="ISTIO_CPU_LIMIT=3\n").envoy.concurrency == 3
    assert vm.config(more="ISTIO_CPU_LIMIT=3\n", mesh="concurrency: 2\n").envoy.concurrency == 2


def test_times_of_the_mesh_file_reach_envoy() -> None:
    mesh = "drainDuration: 30s\nparentShutdownDuration: 50s\nterminationDrainDuration: 7s\n"
    envoy = vm.config(mesh=f"{mesh}fileFlushInterval: 0.5s\n").envoy
    assert (envoy.drain_time, envoy.parent_shutdown_time) == (30, 50)
    assert (envoy.termination_drain, envoy.file_flush_interval) == (7, 0.5)


def test_the_applications_own_metrics_are_found() -> None:
    more = """ISTIO_PROMETHEUS_ANNOTATIONS='{"scrape":"true","port":"8080","path":"/m"}'\n"""
    assert vm.config(more=more).status.scrape == (ScrapeTarget(port=8080, path="/m"),)
    assert vm.config().status.scrape == ()


def test_what_the_capture_room_needs_comes_as_text_with_its_origin() -> None:
    found = vm.config(sidecar="ISTIO_SERVICE_EXCLUDE_CIDR=10.0.0.0/8\nISTIO_DUAL_STACK=true\n").capture
    assert {name: value.text for name, value in found.values.items()} == {
        "ISTIO_INBOUND_PORTS": "*",
        "ISTIO_LOCAL_EXCLUDE_PORTS": "22,15090,15021,15020",
        "ISTIO_SERVICE_CIDR": "*",
        "ISTIO_SERVICE_EXCLUDE_CIDR": "10.0.0.0/8",
        "ISTIO_DUAL_STACK": "true",
        "ISTIO_META_DNS_CAPTURE": "true",
    }
    assert str(found.values["ISTIO_SERVICE_EXCLUDE_CIDR"].origin) == f"{vm.SIDECAR_PATH}:1"
    assert not found.custom


def test_what_is_ours_alone_stands_in_agent_env() -> None:
    assert vm.config(own="VMAGENT_LOG_LEVEL=debug\n").agent.log_level == "debug"


def test_dns_listens_where_it_is_told() -> None:
    assert vm.config().dns.listen == Address(host="localhost", port=15053)
    assert vm.config(more="DNS_PROXY_ADDR='[::1]:53'\n").dns.listen == Address(host="::1", port=53)
