"""What a WorkloadEntry says while its machine comes and goes."""

from dataclasses import replace

import pytest

from lab.controlplane.kinds.metadata import Metadata
from lab.controlplane.kinds.workload import Condition, Workload, WorkloadEntry, WorkloadGroup
from lab.controlplane.proxy import Locality, Proxy
from lab.controlplane.registration import (
    auto_registered,
    connected,
    disconnected,
    due,
    entry_name,
    identity_problem,
    new_entry,
    reported,
)
from lab.controlplane.spiffe import SpiffeId
from lab.controlplane.timestamps import SECOND, parse_rfc3339

NOW = parse_rfc3339("2026-11-21T03:47:00.5Z")

PROXY = Proxy(
    role="sidecar",
    ips=("192.168.0.204", "10.0.0.1"),
    name="vm204.istio-demo",
    dns_domain="istio-demo.svc.cluster.local",
    namespace="istio-demo",
    auto_register_group="nginx",
    labels={"app": "node", "class": "vm", "istio-locality": "r.z"},
)

GROUP = WorkloadGroup(
    metadata=Metadata(name="nginx", namespace="istio-demo", uid="u-1"),
    template=Workload(
        labels={"app": "template", "tier": "front"},
        ports={"http": 8080},
        weight=3,
        network="home",
        locality="here",
        service_account="vm",
    ),
    labels={"app": "group", "tier": "group", "class": "group"},
    annotations={"team": "web"},
    api_version="networking.istio.io/v1alpha3",
)


def registered() -> WorkloadEntry:
    return connected(new_entry(PROXY, GROUP), controller="istiod-1", now=NOW)


def test_the_name_is_group_address_and_network() -> None:
    assert entry_name(PROXY) == "nginx-192.168.0.204"
    assert entry_name(replace(PROXY, ips=("fd00::1",), network="far")) == "nginx-fd00--1-far"


def test_a_name_that_is_too_long_loses_its_beginning() -> None:
    name = entry_name(replace(PROXY, auto_register_group="g" * 300))
    assert len(name) == 253
    assert name.endswith("-192.168.0.204")


def test_the_machine_overrides_the_group_and_the_group_its_template() -> None:
    entry = new_entry(PROXY, GROUP)
    assert entry.spec.labels == {"app": "node", "tier": "group", "class": "vm"}
    assert entry.metadata.labels == entry.spec.labels


def test_what_the_machine_does_not_say_comes_from_the_template() -> None:
    spec = new_entry(PROXY, GROUP).spec
    assert (spec.address, spec.ports, spec.weight, spec.service_account) == (
        "192.168.0.204",
        {"http": 8080},
        3,
        "vm",
    )
    assert (spec.network, spec.locality) == ("home", "here")
    told = replace(PROXY, network="far", locality=Locality(region="r", zone="z"))
    assert (new_entry(told, GROUP).spec.network, new_entry(told, GROUP).spec.locality) == ("far", "r/z")


def test_the_group_owns_the_entry() -> None:
    (owner,) = new_entry(PROXY, GROUP).metadata.owners
    assert (owner.api_version, owner.kind, owner.name, owner.uid, owner.controller) == (
        "networking.istio.io/v1alpha3",
        "WorkloadGroup",
        "nginx",
        "u-1",
        True,
    )


def test_only_a_machine_with_a_probe_is_health_checked() -> None:
    assert not new_entry(PROXY, GROUP).health_checked
    assert new_entry(replace(PROXY, readiness_probe=True), GROUP).health_checked


def test_coming_and_going_changes_the_annotations_alone() -> None:
    here = registered()
    gone = disconnected(here, now=NOW + SECOND)
    back = connected(gone, controller="istiod-2", now=NOW + 2 * SECOND)
    common = {"istio.io/autoRegistrationGroup": "nginx", "team": "web"}
    assert here.metadata.annotations == {
        **common,
        "istio.io/workloadController": "istiod-1",
        "istio.io/connectedAt": "2026-11-21T03:47:00.5Z",
    }
    assert gone.metadata.annotations == {
        **common,
        "istio.io/workloadController": "istiod-1",
        "istio.io/disconnectedAt": "2026-11-21T03:47:01.5Z",
    }
    assert back.metadata.annotations == {
        **common,
        "istio.io/workloadController": "istiod-2",
        "istio.io/connectedAt": "2026-11-21T03:47:02.5Z",
    }
    assert replace(back, metadata=here.metadata) == here


def test_a_health_report_replaces_the_one_before_and_no_other_condition() -> None:
    other = Condition(type="Other", status="True")
    sick = reported(replace(registered(), conditions=(other,)), healthy=False, message="shut", now=NOW)
    well = reported(sick, healthy=True, message="", now=NOW + SECOND)
    assert sick.conditions == (
        other,
        Condition(
            type="Healthy",
            status="False",
            message="shut",
            last_probe_time="2026-11-21T03:47:00.5Z",
            last_transition_time="2026-11-21T03:47:00.5Z",
        ),
    )
    assert not sick.healthy
    assert [each.type for each in well.conditions] == ["Other", "Healthy"]
    assert well.healthy


@pytest.mark.parametrize(
    ("namespace", "account", "allowed"),
    [
        ("istio-demo", "vm", True),
        ("istio-demo", "", True),
        ("istio-demo", "root", False),
        ("default", "vm", False),
    ],
)
def test_an_entry_belongs_to_identities_of_its_namespace_and_account(
    namespace: str, account: str, allowed: bool
) -> None:
    me = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", account="vm")
    assert (identity_problem(me, namespace=namespace, service_account=account) == "") is allowed


def test_a_disconnected_entry_is_due_after_the_grace_period() -> None:
    gone = disconnected(registered(), now=NOW)
    assert due(gone, controller="istiod-1", grace=10, max_age=60) == NOW + 10 * SECOND


def test_an_entry_that_claims_to_be_connected_for_too_long_is_due() -> None:
    assert due(registered(), controller="istiod-1", grace=10, max_age=60) == NOW + 90 * SECOND
    assert due(registered(), controller="istiod-1", grace=10, max_age=0) is None


def test_an_entry_of_somebody_else_is_not_ours_to_clean_up() -> None:
    assert due(disconnected(registered(), now=NOW), controller="istiod-2", grace=0, max_age=0) is None
    written = WorkloadEntry(metadata=Metadata(name="x"), spec=Workload(address="10.0.0.1"))
    assert due(written, controller="istiod-1", grace=0, max_age=1) is None
    assert not auto_registered(written)
    assert auto_registered(registered())


def test_an_instant_somebody_garbled_is_no_deadline() -> None:
    gone = disconnected(registered(), now=NOW)
    annotations = {**gone.metadata.annotations, "istio.io/disconnectedAt": "yesterday"}
    garbled = replace(gone, metadata=replace(gone.metadata, annotations=annotations))
    assert due(garbled, controller="istiod-1", grace=1, max_age=1) is None
