"""The keeper against the lab's control plane, which checks signatures, audiences, accounts as istiod does."""

import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.controlplane.server import ControlPlane, on_any_port, running
from lab.controlplane.settings import Settings
from tests.flow.identity.conftest import VM, Machine
from tests.flow.xds.machine import until
from vmagent.identity.config import IdentityConfig
from vmagent.identity.endpoint import Endpoint

WORKLOAD_GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: nginx, namespace: istio-demo}
spec:
  metadata: {labels: {app: nginx}}
  template: {serviceAccount: vm}
"""


LIFETIME = 12.0
"""Seconds of a certificate whose second half must be enough on a busy machine."""


@pytest.fixture
async def control_plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    settings = Settings(resources=tmp_path / "resources", state=tmp_path / "state")
    async with running(on_any_port(settings)) as control_plane:
        control_plane.apply(WORKLOAD_GROUP)
        yield control_plane


@pytest.fixture
def vm(control_plane: ControlPlane, tmp_path: Path) -> Machine:
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "root-cert.pem").write_bytes(control_plane.root_pem)
    token = tmp_path / "istio-token"
    token.write_text(control_plane.issue_token("istio-demo", "vm"))
    return Machine(
        IdentityConfig(
            spiffe=VM,
            token=token,
            ca=Endpoint(
                host="127.0.0.1", port=control_plane.listening.port, server_name="istiod.istio-system.svc"
            ),
            root_cert=certs / "root-cert.pem",
            cluster_id="Kubernetes",
            output_dir=certs,
            prov_dir=certs,
        )
    )


async def test_a_vm_joins_with_its_token_and_renews_with_its_certificate(
    control_plane: ControlPlane, vm: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ca")
    control_plane.faults.certificate_ttl = 3.0
    async with vm.running():
        await vm.until_renewed()
        vm.token.unlink()
        held = await vm.until_renewed()
        assert time.time() < held.not_after
    issued = [r.getMessage() for r in caplog.records if r.name == "ca" and "issued" in r.getMessage()]
    assert [line.rpartition("by=")[2] for line in issued] == ["token", "certificate"]
    assert all(f"identity={VM}" in line for line in issued)


async def test_a_control_plane_that_comes_back_in_time_is_not_missed(
    control_plane: ControlPlane, vm: Machine
) -> None:
    control_plane.faults.certificate_ttl = LIFETIME
    async with vm.running() as keeper:
        held = await vm.until_renewed()
        await control_plane.stop()
        await until(lambda: keeper.trouble, within=LIFETIME)  # half of it is left then
        await control_plane.start()
        await vm.until_renewed(within=LIFETIME)
        assert time.time() < held.not_after
    assert set(vm.said) == {"open"}


@pytest.mark.parametrize("wrong", [{"age": 7200}, {"audience": "vault"}], ids=["expired", "audience"])
async def test_what_is_wrong_with_a_refused_token_is_known_here_for_the_ca_does_not_tell(
    control_plane: ControlPlane, vm: Machine, wrong: dict[str, int | str]
) -> None:
    vm.token.write_text(control_plane.issue_token("istio-demo", "vm", **wrong))  # type: ignore[arg-type]  # either
    async with vm.running():
        why = await vm.until_said("does not accept us")
        assert str(vm.token) in why
        assert ("expired at" if "age" in wrong else "is meant for vault") in why
        vm.token.write_text(control_plane.issue_token("istio-demo", "vm"))
        await vm.until_said("open", within=2.0)


async def test_an_account_that_the_mesh_does_not_know_is_refused_with_its_name(
    control_plane: ControlPlane, vm: Machine
) -> None:
    vm = vm.configured(spiffe=type(VM).parse("spiffe://cluster.local/ns/istio-demo/sa/nobody"))
    vm.token.write_text(control_plane.issue_token("istio-demo", "nobody"))
    async with vm.running():
        why = await vm.until_said("does not accept us")
        assert "spiffe://cluster.local/ns/istio-demo/sa/nobody" in why
        assert "does the service account exist in that namespace" in why


async def test_a_lifetime_that_the_ca_does_not_grant_is_told_with_the_setting(
    control_plane: ControlPlane, vm: Machine
) -> None:
    vm = vm.configured(ttl=365 * 24 * 3600)
    async with vm.running():
        why = await vm.until_said("refuses our request")
        assert "greater than the max allowed TTL" in why
        assert "SECRET_TTL" in why
