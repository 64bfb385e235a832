"""Every difference from the file that Istio 1.29.6 wrote for the same VM, with its reason."""

import json
from typing import Any

import pytest

from tests.conftest import RECORDINGS
from tests.unit.envoy.examples import vm
from vmagent.envoy.bootstrap import bootstrap
from vmagent.envoy.config import Node

RECORDED = RECORDINGS / "pilot-agent-1.29.6" / "envoy-rev.json"

DIFFERENCES = {
    ".node.metadata.VMAGENT_EPOCH": (
        None,
        "0",
        "two Envoys ask while one takes over from the other; Istio's agent has one at a time",
    ),
    ".static_resources.clusters[2].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe.path": (
        "./var/run/secrets/workload-spiffe-uds/socket",
        "/var/run/secrets/workload-spiffe-uds/socket",
        "Envoy's working directory is /, and a path that depends on it helps nobody",
    ),
    ".stats_config.stats_matcher.inclusion_list.patterns[10].suffix": (
        "absent",
        "downstream_cx_active",
        "a stop waits until nobody is connected; Istio counts only with EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
    ),
}
"""Path: what Istio writes, what we write, why."""


def test_every_difference_from_istios_bootstrap_has_a_reason() -> None:
    if not RECORDED.is_file():
        pytest.skip(f"{RECORDED} not present")
    recorded = json.loads(RECORDED.read_text())
    node = recorded["node"]
    ours = json.loads(json.dumps(bootstrap(vm(node=Node(**node)))))
    patterns = recorded["stats_config"]["stats_matcher"]["inclusion_list"]["patterns"]
    patterns.insert(10, {"suffix": "absent"})
    found = {path: (theirs, mine) for path, theirs, mine in differences(recorded, ours)}
    assert found == {path: (theirs, mine) for path, (theirs, mine, _) in DIFFERENCES.items()}


def differences(one: Any, other: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {*one, *other}
        return [d for key in sorted(keys) for d in differences(one.get(key), other.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i in range(len(one)) for d in differences(one[i], other[i], f"{path}[{i}]")]
    return [] if one == other else [(path, one, other)]
