"""Who wins, what follows from what, and what an operator is told."""

from pathlib import Path

import pytest

from vmagent.config.model import Address, KeyKind, ScrapeTarget
from vmagent.config.proxyconfig import DEFAULTS
from vmagent.config.setting import SETTINGS
from vmagent.config.unused import UNUSED

from . import vm

# --- precedence -------------------------------------------------------------------------------------------


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


# --- the control plane ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "mesh", "xds", "ca"),
    [
        ("", "", "istiod.istio-system.svc:15012", "istiod.istio-system.svc:15012"),
        ("", "discoveryAddress: a.example:1", "a.example:1", "a.example:1"),
        ("CA_ADDR=ca.example:2\n", "discoveryAddress: a.example:1", "a.example:1", "ca.example:2"),
        ("PILOT_ADDRESS=p.example:3\n", "discoveryAddress: a.example:1", "p.example:3", "p.example:3"),
        ("PILOT_ADDRESS=p.example:3\nCA_ADDR=c.example:2\n", "", "p.example:3", "c.example:2"),
        ("ISTIO_PILOT_PORT=4\n", "discoveryAddress: a.example:1", *["istiod.istio-system.svc:4"] * 2),
        ("ISTIO_PILOT_PORT=4\nPILOT_ADDRESS=p.example:3\n", "", "p.example:3", "p.example:3"),
        ("ISTIO_SYSTEM_NAMESPACE=mesh\n", "", "istiod.mesh.svc:15012", "istiod.mesh.svc:15012"),
        (
            "PROXY_CONFIG='discoveryAddress: x.example:5'\n",
            "discoveryAddress: a.example:1",
            *["x.example:5"] * 2,
        ),
        ("CA_ADDR=\n", "discoveryAddress: a.example:1", "a.example:1", "a.example:1"),
        ("", 'discoveryAddress: "[fd00::1]:15012"', "[fd00::1]:15012", "[fd00::1]:15012"),
    ],
)
def test_there_is_one_address_of_the_control_plane_unless_somebody_says_otherwise(
    more: str, mesh: str, xds: str, ca: str
) -> None:
    peers = vm.config(more=more, mesh=f"defaultConfig:\n  {mesh}\n").control_plane
    assert (str(peers.xds.address), str(peers.ca.address)) == (xds, ca)


def test_that_the_ca_follows_the_mesh_file_is_said() -> None:
    found = vm.resolved(mesh="defaultConfig:\n  discoveryAddress: a.example:1\n")
    assert found.notes == (
        f"{vm.MESH_PATH}:2: the CA is asked at a.example:1 too; CA_ADDR would say otherwise",
    )
    (said,) = found.config.origins["CA_ADDR"]
    assert (said.text, said.origin.kind) == ("a.example:1", "derived")


def test_one_name_holds_for_both_certificates_of_istiod() -> None:
    peers = vm.config(more="ISTIOD_SAN=istiod.example.com\nCA_ADDR=10.0.0.1:15012\n").control_plane
    assert peers.xds.server_name == peers.ca.server_name == "istiod.example.com"


def test_the_name_is_the_host_part_and_istiods_own_through_a_forwarded_port() -> None:
    peers = vm.config(
        mesh='discoveryAddress: "[fd00::1]:15012"\n', more="CA_ADDR=localhost:15012\n"
    ).control_plane
    assert peers.xds.server_name == "fd00::1"
    assert peers.ca.server_name == "istiod.istio-system.svc"


def test_tls_is_left_out_only_on_request() -> None:
    peers = vm.config(more="ISTIO_CP_AUTH=NONE\nCA_ADDR=istiod.istio-system.svc:15010\n").control_plane
    assert not peers.xds.tls
    assert not peers.ca.tls
    plain = vm.config().control_plane
    assert plain.xds.tls
    assert plain.ca.tls


def test_extra_headers_go_with_every_call() -> None:
    peers = vm.config(more="CA_HEADER_authz='b c'\n", environ={"XDS_HEADER_X-Tenant": "a"}).control_plane
    assert (peers.xds.headers, peers.ca.headers) == ((("x-tenant", "a"),), (("authz", "b c"),))


def test_a_header_that_could_not_be_sent_is_refused_without_showing_it() -> None:
    (line,) = vm.complaints(more="XDS_HEADER_x='hunter2\n'\n")
    assert line.startswith(f"{vm.CLUSTER_PATH}:18: XDS_HEADER_x=(hidden): not a header")
    assert "hunter2" not in line


# --- credentials ------------------------------------------------------------------------------------------


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


# --- Envoy, status, capture, agent ------------------------------------------------------------------------


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


# --- what is wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "ISTIO_META_DNS_CAPTURE=yes",
            "ISTIO_META_DNS_CAPTURE='yes': not a value for this setting; write true or",
        ),
        ("SECRET_TTL=24", "SECRET_TTL='24': not a value for this setting; write a duration with its unit"),
        ("SECRET_GRACE_PERIOD_RATIO=2", "write a number between 0 and 1"),
        (
            "ISTIO_SVC_IP=vm204",
            "ISTIO_SVC_IP='vm204': not a value for this setting; write an IPv4 or IPv6 address",
        ),
        ("ENVOY_STATUS_PORT=x", "write a whole number from 1 to 65535"),
        ("ENVOY_STATUS_PORT=15020", "ENVOY_STATUS_PORT='15020': taken by statusPort; write another port"),
        ("ENVOY_PROMETHEUS_PORT=15021", "taken by ENVOY_STATUS_PORT"),
        ("WORKLOAD_RSA_KEY_SIZE=1024", "write a whole number from 2048 to 8192"),
        ("ECC_SIGNATURE_ALGORITHM=RSA", "write one of ECDSA, nothing"),
        ("CA_ADDR=istiod", "CA_ADDR='istiod': not a value for this setting; write HOST:PORT"),
        ("ISTIO_NAMESPACE=Istio_Demo", "write lower-case letters, digits and dashes"),
        ("ISTIO_META_POD_PORTS=80", "write a JSON list in single quotes"),
        ('ISTIO_METAJSON_LABELS={"app":"nginx"}', "ISTIO_METAJSON_LABELS='{app:nginx}': not a value"),
        ("WORKLOAD_IDENTITY_SOCKET_FILE=/run/x", "write a file name without a directory"),
        ("PROXY_CONFIG='statusPort: x'", "(PROXY_CONFIG):1: statusPort='x': expected a whole number"),
        ("SERVICE_ACCOUNT=", ": SERVICE_ACCOUNT: not set; add SERVICE_ACCOUNT='NAME' to it"),
    ],
)
def test_a_wrong_value_is_one_line_with_file_key_value_and_remedy(more: str, says: str) -> None:
    mesh = "defaultConfig: {}\n"
    (line,) = vm.complaints(more=f"{more}\n", mesh=mesh)
    assert line.startswith(f"{vm.CLUSTER_PATH}:")
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("mesh", "says"),
    [
        (
            "drainDuration: 0s",
            "defaultConfig.drainDuration='0s': not whole seconds; write whole seconds, as in 45s",
        ),
        ("drainDuration: 1.5s", "not whole seconds"),
        ("terminationDrainDuration: -1s", "negative"),
        ("binaryPath: ''", "empty; write a path"),
        ("statusPort: 15000", "statusPort='15000': taken by proxyAdminPort; write another port"),
    ],
)
def test_a_value_that_envoy_could_not_live_with_is_refused(mesh: str, says: str) -> None:
    (line,) = vm.complaints(mesh=f"defaultConfig:\n  {mesh}\n")
    assert line.startswith(f"{vm.MESH_PATH}:2: ")
    assert says in line


def test_all_problems_come_out_at_once() -> None:
    lines = vm.complaints(
        more="SECRET_TTL=x\nB = 1\n",
        sidecar="PKCS8_KEY=x\n",
        mesh="defaultConfig:\n  statusPort: x\n  meshId: 1\n",
    )
    assert [line.split(":")[1] for line in lines] == ["19", "2", "3", "18", "1"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("ISTIO_META_DNS_CAPTRUE=true", "did you mean ISTIO_META_DNS_CAPTURE?"),
        ("ISTIO_SERVICE_CDIR='*'", "did you mean ISTIO_SERVICE_CIDR?"),
        ("VMAGENT_LOGLEVEL=debug", "did you mean VMAGENT_LOG_LEVEL?"),
        ("HELLO=1", "remove it if it is meant for the agent"),
    ],
)
def test_a_key_nobody_knows_is_reported_with_the_nearest_known_one(more: str, says: str) -> None:
    found = vm.resolved(more=f"{more}\n")
    assert found.problems == ()
    (unknown,) = found.unknown
    assert str(unknown).startswith(f"{vm.CLUSTER_PATH}:18: {more.partition('=')[0]}=")
    assert says in str(unknown)


def test_metadata_of_ones_own_is_nobodys_mistake() -> None:
    assert vm.resolved(more="ISTIO_META_COST_CENTRE=7\nXDS_HEADER_x=y\n").unknown == ()


def test_the_process_environment_may_hold_anything_but_a_misspelt_name_of_ours() -> None:
    found = vm.resolved(environ={"HOME": "/", "ISTIO_SERVICE_CDIR": "x", "VMAGENT_LOGLEVEL": "debug"})
    assert [str(problem) for problem in found.unknown] == [
        "environment: VMAGENT_LOGLEVEL='debug': no such setting; did you mean VMAGENT_LOG_LEVEL?"
    ]


def test_a_setting_without_effect_says_why() -> None:
    found = vm.resolved(more="ISTIO_INBOUND_EXCLUDE_PORTS=22\n")
    assert found.notes == (
        f"{vm.CLUSTER_PATH}:18: ISTIO_INBOUND_EXCLUDE_PORTS has no effect here: "
        "read by nothing in Istio either; you want ISTIO_LOCAL_EXCLUDE_PORTS",
    )


def test_what_entry_configure_writes_needs_no_word() -> None:
    found = vm.resolved()
    assert (found.problems, found.unknown, found.notes, dict(found.missing)) == ((), (), (), {})


def test_without_cluster_env_the_agent_waits_for_it() -> None:
    found = vm.resolved(cluster=None, mesh=None)
    assert dict(found.missing) == {vm.CLUSTER_PATH: "no such file"}
    assert found.problems == ()


def test_a_cluster_env_that_does_not_say_who_we_are_names_what_it_lacks() -> None:
    assert vm.complaints(cluster="ISTIO_NAMESPACE=demo\n", mesh=None) == [
        f"{vm.CLUSTER_PATH}: SERVICE_ACCOUNT: not set; add SERVICE_ACCOUNT='NAME' to it"
    ]


def test_every_default_in_the_table_is_a_valid_value() -> None:
    for setting in SETTINGS.values():
        setting.parse(setting.default)
        assert setting.help.endswith("."), setting.name


def test_no_name_is_both_honoured_and_without_effect() -> None:
    assert SETTINGS.keys() & UNUSED.keys() == set()
