"""What is wrong on the other side of the wire is told here, too, and waited for."""

import pytest

from tests.netns.wrong_files.machine import Machine


def test_a_control_plane_that_is_away_is_waited_for(machine: Machine) -> None:
    machine.stop_control_plane()
    machine.start()
    machine.until_told("identity", "CA istiod.istio-system.svc:15012", "connection refused")
    machine.until_told("xds", "control plane istiod.istio-system.svc:15012", "connection refused")
    machine.start_control_plane()
    machine.until_joined()


@pytest.mark.parametrize(
    "kinds", [{"ServiceAccount"}, {"ServiceAccount", "Namespace"}], ids=["account", "namespace"]
)
def test_an_account_or_namespace_that_the_ca_does_not_know_is_named(
    machine: Machine, kinds: set[str]
) -> None:
    machine.delete("workloadgroup.yaml")
    machine.delete("namespace.yaml", kinds)
    try:
        machine.start()
        machine.until_told(
            "identity", "UNAUTHENTICATED", "/ns/istio-demo/sa/vm", "does the service account exist"
        )
    finally:
        machine.apply("namespace.yaml")
        machine.apply("workloadgroup.yaml")


def test_a_registration_group_that_is_missing_is_named(machine: Machine) -> None:
    machine.delete("workloadgroup.yaml")
    try:
        machine.start()
        machine.until_told(
            "xds", "there is no WorkloadGroup istio-demo/nginx", "ISTIO_META_AUTO_REGISTER_GROUP"
        )
    finally:
        machine.apply("workloadgroup.yaml")
    machine.until_joined(within=20)
