"""What an operator is told about values that are wrong, unknown or without effect."""

import pytest

from vmagent.config.setting import SETTINGS
from vmagent.config.unused import UNUSED

from . import vm


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
