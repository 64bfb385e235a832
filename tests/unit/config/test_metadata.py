"""Node metadata, row by row of Istio's table: where each key comes from, in which encoding, and when it is
absent.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from vmagent.config.addresses import HostAddress
from vmagent.config.metadata import BOOLEANS, OBJECTS, ONE, OURS, TEXTS

from . import vm

ABSENT = object()
LISTENING = dataclasses.replace(vm.HOST, credential_socket=True)
TWO_ADDRESSES = dataclasses.replace(
    vm.HOST, addresses=(*vm.HOST.addresses, HostAddress(interface="eth1", ip="10.0.0.4"))
)
LABELS = json.loads(vm.LABELS)
ANNOTATIONS = 'sidecar.istio.io/extraStatTags="a,b"\nnote="two\\nlines, \\"quoted\\", \\u00e9"\n'


PASSED_ON = """
    OWNER NODE_NAME APP_CONTAINERS ISTIO_PROXY_SHA HTTP_PROXY_PORT BASE IDLE_TIMEOUT GENERATOR CLOUDRUN_ADDR
    TLS_SERVER_CERT_CHAIN TLS_SERVER_KEY TLS_SERVER_ROOT_CERT
    TLS_CLIENT_CERT_CHAIN TLS_CLIENT_KEY TLS_CLIENT_ROOT_CERT
    """


@dataclass(frozen=True, kw_only=True)
class Row:
    key: str
    value: Any
    """``ABSENT``: the key is not there."""
    more: str = ""
    """Lines behind cluster.env."""
    given: dict[str, Any] = field(default_factory=dict)
    """What else the VM has."""
    because: str = ""

    @property
    def name(self) -> str:
        return f"{self.key} {self.because or self.more.strip()[:50]}".strip()


def meta(key: str, text: str = "x", value: Any = None) -> Row:
    return Row(key=key, more=f"ISTIO_META_{key}='{text}'\n", value=text if value is None else value)


ROWS = (
    Row(key="ISTIO_VERSION", value="1.29.6", because="whose behaviour we have"),
    meta("ISTIO_VERSION", "1.30.0"),
    Row(key="ISTIO_REVISION", value=ABSENT),
    meta("ISTIO_REVISION", "canary"),
    Row(key="LABELS", value=LABELS),
    Row(
        key="LABELS",
        value={**LABELS, "app": "other", "team": "web"},
        given={"labels": 'app="other"\nteam="web"\npod-template-hash="5d8"\n'},
        because="of the pod lie above",
    ),
    Row(key="STATIC_LABELS", value=LABELS),
    Row(key="STATIC_LABELS", value=LABELS, given={"labels": 'app="other"\n'}, because="not those of the pod"),
    Row(key="ANNOTATIONS", value=ABSENT),
    Row(
        key="ANNOTATIONS",
        value={"sidecar.istio.io/extraStatTags": "a,b", "note": 'two\nlines, "quoted", é'},
        given={"annotations": ANNOTATIONS},
        because="of the pod",
    ),
    Row(key="ANNOTATIONS", more="""ISTIO_METAJSON_A='{"ANNOTATIONS":{"a":"b"}}'\n""", value={"a": "b"}),
    Row(key="INSTANCE_IPS", value="192.168.0.204"),
    Row(
        key="INSTANCE_IPS",
        more="ISTIO_SVC_IP=10.0.0.4\n",
        given={"host": TWO_ADDRESSES},
        value="10.0.0.4,192.168.0.204",
    ),
    Row(
        key="INSTANCE_IPS",
        given={
            "host": TWO_ADDRESSES,
            "annotations": 'traffic.sidecar.istio.io/excludeInterfaces="eth1, x"\n',
        },
        value="192.168.0.204",
        because="without those of excluded interfaces",
    ),
    Row(key="NAME", value="vm204"),
    Row(key="NAME", more="POD_NAME=web-1\n", value="web-1"),
    Row(key="NAMESPACE", value="istio-demo"),
    Row(key="SERVICE_ACCOUNT", value="vm"),
    Row(key="WORKLOAD_NAME", value="nginx"),
    Row(key="MESH_ID", value="", because="empty as the file has it"),
    meta("MESH_ID", "m1"),
    Row(
        key="MESH_ID",
        value="m2",
        given={
            "cluster": vm.CLUSTER_ENV.replace("ISTIO_META_MESH_ID=''\n", ""),
            "mesh": "defaultConfig:\n  proxyMetadata: {ISTIO_META_MESH_ID: m2}\n",
        },
        because="of the mesh file",
    ),
    Row(key="CLUSTER_ID", value="Kubernetes"),
    Row(key="NETWORK", value="", because="empty as the file has it"),
    meta("NETWORK", "network-2"),
    Row(key="POD_PORTS", value=ABSENT),
    meta("POD_PORTS", '[{"name":"http","containerPort":80,"protocol":""}]'),
    Row(key="DNS_CAPTURE", value="true"),
    meta("DNS_CAPTURE", "1", "true"),
    meta("DNS_CAPTURE", "F", "false"),
    meta("DNS_AUTO_ALLOCATE", "true"),
    Row(key="DNS_PROXY_ADDR", value=ABSENT),
    Row(key="DNS_PROXY_ADDR", more="DNS_PROXY_ADDR='127.0.0.1:5353'\n", value="127.0.0.1:5353"),
    Row(key="AUTO_REGISTER_GROUP", value="nginx"),
    Row(key="WORKLOAD_ENTRY", value=ABSENT),
    meta("WORKLOAD_ENTRY", "vm204"),
    Row(key="ENABLE_HBONE", value=ABSENT),
    meta("ENABLE_HBONE", "True", "true"),
    meta("DISABLE_HBONE_SEND", "true"),
    Row(key="METADATA_DISCOVERY", value="false", because="always there"),
    Row(key="METADATA_DISCOVERY", more="ISTIO_META_ENABLE_HBONE=True\n", value="true"),
    Row(
        key="METADATA_DISCOVERY",
        more="PEER_METADATA_DISCOVERY=false\nISTIO_META_ENABLE_HBONE=true\n",
        value="false",
        because="said by itself",
    ),
    Row(key="ENVOY_STATUS_PORT", value=15021),
    Row(key="ENVOY_STATUS_PORT", more="ENVOY_STATUS_PORT=15121\n", value=15121),
    Row(key="ENVOY_PROMETHEUS_PORT", value=15090),
    Row(key="ENVOY_SECURE_METRICS_PORT", value=ABSENT),
    Row(key="ENVOY_SECURE_METRICS_PORT", more="ENVOY_SECURE_METRICS_PORT=15091\n", value=15091),
    Row(key="ENVOY_SECURE_MERGED_METRICS_PORT", value=ABSENT),
    Row(key="ENVOY_SECURE_MERGED_METRICS_PORT", more="ENVOY_SECURE_MERGED_METRICS_PORT=15092\n", value=15092),
    Row(key="EXIT_ON_ZERO_ACTIVE_CONNECTIONS", value=ABSENT),
    Row(key="EXIT_ON_ZERO_ACTIVE_CONNECTIONS", more="EXIT_ON_ZERO_ACTIVE_CONNECTIONS=1\n", value="true"),
    Row(key="ENVOY_SKIP_DEPRECATED_LOGS", value="true"),
    Row(key="ENVOY_SKIP_DEPRECATED_LOGS", more="ENVOY_SKIP_DEPRECATED_LOGS=false\n", value=ABSENT),
    Row(key="WORKLOAD_IDENTITY_SOCKET_FILE", value="socket"),
    Row(key="WORKLOAD_IDENTITY_SOCKET_FILE", more="WORKLOAD_IDENTITY_SOCKET_FILE=mine\n", value="mine"),
    Row(key="PILOT_SAN", value=["istiod.istio-system.svc"]),
    Row(key="PILOT_SAN", more="PILOT_ADDRESS=localhost:15012\n", value=["istiod.istio-system.svc"]),
    Row(key="PILOT_SAN", more="PILOT_ADDRESS='[fd00::1]:15012'\n", value=["fd00::1"]),
    Row(key="PILOT_SAN", given={"mesh": "controlPlaneAuthPolicy: NONE\n"}, value=ABSENT, because="no TLS"),
    Row(key="OUTLIER_LOG_PATH", value=ABSENT),
    Row(key="OUTLIER_LOG_PATH", more="ISTIO_AGENT_FLAGS='--outlierLogPath=/var/log/o'\n", value="/var/log/o"),
    Row(key="STS_PORT", more="ISTIO_AGENT_FLAGS='--stsPort=15463'\n", value="15463"),
    Row(key="STS_PORT", more="ISTIO_AGENT_FLAGS='--stsPort=0'\n", value=ABSENT),
    Row(key="PLATFORM_METADATA", value=ABSENT, because="no cloud is asked"),
    Row(
        key="PLATFORM_METADATA",
        more="""ISTIO_METAJSON_P='{"PLATFORM_METADATA":{"gcp_project":"p"}}'\n""",
        value={"gcp_project": "p"},
    ),
    meta("INTERCEPTION_MODE", "REDIRECT"),
    meta("HTTP10", "true", "1"),
    meta("HTTP10", "1"),
    meta("HTTP10", "0"),
    meta("UNPRIVILEGED_POD", "1", "true"),
    meta("INBOUND_LISTENER_EXACT_BALANCE", "true"),
    meta("OUTBOUND_LISTENER_EXACT_BALANCE", "true"),
    meta("ENABLE_SELF_DISCOVERY", "true"),
    meta("REQUESTED_NETWORK_VIEW", "network-1,network-2"),
    *(meta(key) for key in PASSED_ON.split()),
    Row(key="LOAD_STATS_CONFIG_JSON", more="ISTIO_META_LOAD_STATS_CONFIG_JSON='{}'\n", value="{}"),
    Row(key="credential", value=ABSENT),
    Row(key="credential", given={"host": LISTENING}, value="true", because="while somebody serves sds://"),
    Row(key="file-credential", value=ABSENT, because="no external SDS is used"),
    # What nobody knows is carried as it is.
    meta("ANYTHING"),
    meta("EMPTY", ""),
    Row(
        key="COST",
        more="""ISTIO_METAJSON_ANY='{"COST":{"centre":[7,null]}}'\n""",
        value={"centre": [7, None]},
    ),
    Row(key="ANY", more="""ISTIO_METAJSON_ANY='{"COST":1}'\n""", value=ABSENT, because="is only a name"),
    Row(key="class", value="vm", because="members of METAJSON objects stand at the top, too"),
    Row(
        key="NAME",
        more="""ISTIO_META_NAME=mine\nISTIO_METAJSON_ANY='{"NAME":"mine"}'\n""",
        value="vm204",
        because="is what the agent knows, whatever else is said",
    ),
    Row(key="DNS_CAPTURE", more="""ISTIO_METAJSON_ANY='{"DNS_CAPTURE":false}'\n""", value="false"),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_key_comes_from_where_istio_takes_it_in_its_encoding(row: Row) -> None:
    metadata = vm.config(more=row.more, **row.given).node.metadata
    assert metadata.get(row.key, ABSENT) == row.value
    assert list(metadata) == sorted(metadata)
    json.dumps(metadata)


def test_every_key_that_istiod_decodes_has_a_row() -> None:
    assert {row.key for row in ROWS} >= (BOOLEANS | ONE | TEXTS | OBJECTS | OURS.keys()) - {"PROXY_CONFIG"}


def test_the_proxy_config_goes_along_as_it_was_merged() -> None:
    config = vm.config(more="PILOT_ADDRESS=10.0.0.1:15012\n")
    sent = config.node.metadata["PROXY_CONFIG"]
    assert sent == config.envoy.proxy_config
    assert isinstance(sent, dict)
    assert sent["discoveryAddress"] == "10.0.0.1:15012"
    assert sent["readinessProbe"] == {"httpGet": {"port": 80}}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ISTIO_META_HTTP10=perhaps", "not a value for this setting; write true or false"),
        ("ISTIO_META_DISABLE_HBONE_SEND=yes", "not a value for this setting; write true or false"),
        ("ISTIO_META_LABELS=app", 'write ISTIO_METAJSON_X=\'{"LABELS":{"NAME":"TEXT"}}\''),
        ("ISTIO_META_ENVOY_STATUS_PORT=15021", "remove it; ENVOY_STATUS_PORT says that"),
        ("ISTIO_META_PILOT_SAN=istiod", "remove it; discoveryAddress of the mesh file says that"),
        ("ISTIO_METAJSON_MORE={a}", "not a JSON object; write a JSON object in single quotes"),
        ("""ISTIO_METAJSON_MORE='{"OWNER":{"a":1}}'""", "not a value for OWNER; write text, as in"),
        ("""ISTIO_METAJSON_MORE='{"DNS_CAPTURE":"x"}'""", "not a value for DNS_CAPTURE; write true or false"),
        ("""ISTIO_METAJSON_MORE='{"PLATFORM_METADATA":{"a":1}}'""", "not a value for PLATFORM_METADATA"),
    ],
)
def test_what_istiod_could_not_decode_is_an_error_here(line: str, says: str) -> None:
    """It would refuse the whole node, which an operator could not tell from a refused token."""
    (told,) = vm.complaints(more=f"{line}\n")
    assert told.startswith(f"{vm.CLUSTER_PATH}:18: {line.partition('=')[0]}=")
    assert says in told
