"""Envoy itself says whether it understands what we write."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.flow.envoy.parts import BINARY, real
from tests.unit.envoy.examples import VM, ZIPKIN, annotated
from vmagent.envoy.bootstrap import bootstrap
from vmagent.envoy.config import Json, Ports

MESH_TLS: dict[str, Json] = {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["spiffe://a/ns/b/sa/c", "d.e"]}
LOAD_REPORTS = (
    '{"api_type":"GRPC","transport_api_version":"V3",'
    '"grpc_services":[{"envoy_grpc":{"cluster_name":"xds-grpc"}}]}'
)

MESH_ZIPKIN: dict[str, Json] = {"zipkin": {"address": "zipkin:9411"}, "tlsSettings": MESH_TLS}

CASES: dict[str, dict[str, Any]] = {
    "as in the documents": {},
    "zipkin": {"proxy_config": ZIPKIN},
    "zipkin over mesh TLS": {"proxy_config": {"tracing": MESH_ZIPKIN}},
    "datadog": {
        "proxy_config": {"tracing": {"datadog": {"address": "$(HOST_IP):8126"}}},
        "host_ip": "10.0.0.1",
    },
    "lightstep over mesh TLS": {
        "proxy_config": {
            "tracing": {"lightstep": {"address": "ls:443", "accessToken": "t"}, "tlsSettings": MESH_TLS}
        }
    },
    "every collector": {
        "proxy_config": {
            "statsdUdpAddress": "[::1]:9125",
            "envoyMetricsService": {
                "address": "metrics:15000",
                "tlsSettings": MESH_TLS,
                "tcpKeepalive": {"probes": 3, "time": "10s", "interval": "1m"},
            },
            "envoyAccessLogService": {"address": "[fd00::1]:15000"},
        }
    },
    "IPv6": {"ips": ("fd00::1",), "proxy_config": ZIPKIN},
    "dual stack": {"ips": ("fd00::1", "10.0.0.1"), "dual_stack": True, "proxy_config": ZIPKIN},
    "secure metrics": {
        "ports": Ports(secure_metrics=15091, secure_merged_metrics=15092),
        "status_proxy_protocol": True,
    },
    "cluster manager": {
        "node": replace(
            VM.node,
            metadata={
                "ENABLE_SELF_DISCOVERY": "true",
                "file-credential": "true",
                "LOAD_STATS_CONFIG_JSON": LOAD_REPORTS,
            },
        ),
        "outlier_log": Path("/dev/null"),
    },
    "annotations": {
        "node": annotated(
            statsFlushInterval="1m0s",
            statsEvictionInterval="2m",
            statsHistogramBuckets='{"http": [1, 2.5, 10]}',
            extraStatTags="team",
        ).node
    },
    "mesh file's matcher": {
        "proxy_config": {
            "proxyStatsMatcher": {
                "inclusionPrefixes": ["listener.{pod_ip}"],
                "inclusionSuffixes": ["upstream_rq_retry"],
                "inclusionRegexps": [r".*ssl\.handshake"],
            },
            "extraStatTags": ["team"],
            "runtimeValues": {"overload.global_downstream_max_connections": "1000"},
            "statsCompression": False,
        },
        "log_as_json": True,
        "fips": True,
    },
    "delta": {"delta_xds": True},
}


@pytest.mark.parametrize("name", CASES)
async def test_envoy_accepts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps(bootstrap(real(tmp_path, **CASES[name]))))
    process = await asyncio.create_subprocess_exec(
        *(BINARY, "-c", path, "--mode", "validate", "-l", "warning", "--skip-deprecated-logs"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
