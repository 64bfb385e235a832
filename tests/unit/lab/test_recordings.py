"""Field by field against what a real istiod 1.29.6 sent for the same resources and the same nodes."""

import copy

import pytest

from lab.controlplane.mesh import Mesh
from tests.unit.lab.recorded import (
    Allowed,
    differences,
    recording,
    scenario_snapshot,
    served,
    unexpected,
    unused,
)

ACCOUNT = Allowed(
    path="cds.outbound|80|",
    reason="The recorder's pod has no service account, so istiod wrote `sa/`; an API server would have "
    "filled in `default`, and so do we.",
)

SAME: tuple[tuple[str, str, tuple[Allowed, ...]], ...] = (
    ("01-vm-joins-the-mesh", "client", ()),
    ("01-vm-joins-the-mesh", "vm", ()),
    ("02-vm-and-pod-shift", "client", ()),
    ("02-vm-and-pod-shift", "vm", ()),
    ("03-manual-workload-entry", "client", (ACCOUNT,)),
    ("04-short-host-trap", "client", ()),
    ("05-external-dns", "client", ()),
    ("06-external-static-dead", "client", ()),
    ("07-external-https-sni", "client", ()),
    ("11-wildcard-none", "client", ()),
    ("12-unix-socket", "client", ()),
    ("13-http-proxy-dns-endpoints", "client", ()),
    ("14-subject-alt-names", "client", ()),
)


@pytest.mark.parametrize(("scenario", "who", "allowed"), SAME, ids=[f"{each[0]}-{each[1]}" for each in SAME])
def test_we_say_what_istiod_said(scenario: str, who: str, allowed: tuple[Allowed, ...]) -> None:
    recorded = recording(scenario, who)
    ours = served(scenario_snapshot(scenario, who))
    found = [line for file in recorded for line in differences(recorded[file], ours[file], file)]
    assert unexpected(found, allowed) == []
    assert unused(found, allowed) == []


@pytest.mark.parametrize(("scenario", "who", "allowed"), SAME, ids=[f"{each[0]}-{each[1]}" for each in SAME])
def test_with_istios_filters_we_say_all_that_istiod_said(
    scenario: str, who: str, allowed: tuple[Allowed, ...]
) -> None:
    recorded = recording(scenario, who, whole=True)
    ours = served(scenario_snapshot(scenario, who, Mesh(istio_filters=True)))
    found = [line for file in recorded for line in differences(recorded[file], ours[file], file)]
    assert unexpected(found, allowed) == []
    assert unused(found, allowed) == []


def test_the_one_allowed_difference_is_the_name_and_nothing_else() -> None:
    recorded = recording("03-manual-workload-entry", "client")
    ours = served(scenario_snapshot("03-manual-workload-entry", "client"))
    found = list(differences(recorded["cds"], ours["cds"], "cds"))
    assert len(found) == 3
    assert all(".match_subject_alt_names[0].exact: istiod says" in line for line in found)


def test_the_comparison_sees_a_single_changed_field() -> None:
    recorded = recording("01-vm-joins-the-mesh", "vm")
    changed = copy.deepcopy(recorded)
    changed["cds"]["inbound|80||"]["upstream_bind_config"]["source_address"]["address"] = "127.0.0.1"
    del changed["lds"]["virtualOutbound"]["use_original_dst"]
    assert [
        line.partition(": istiod")[0]
        for file in recorded
        for line in differences(recorded[file], changed[file], file)
    ] == [
        "cds.inbound|80||.upstream_bind_config.source_address.address",
        "lds.virtualOutbound.use_original_dst",
    ]
