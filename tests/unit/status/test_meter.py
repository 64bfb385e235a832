"""The numbers that no part keeps."""

from pathlib import Path

from vmagent.envoy.supervisor import EnvoyState
from vmagent.errors import Unavailable
from vmagent.health.verdict import Verdict
from vmagent.identity.certwatch import CertWatch
from vmagent.identity.keeper import IdentityStatus
from vmagent.identity.spiffe import SpiffeId
from vmagent.measured import Measures, Meter
from vmagent.runtime.latest import Latest
from vmagent.runtime.readiness import Readiness
from vmagent.sds.files import FileSecrets
from vmagent.xds.hub import Hub

AWAY = Unavailable("the control plane is away")


class Watch:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return 1_000_000 + self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def identity() -> IdentityStatus:
    return IdentityStatus(
        spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
        not_after=None,
        renews_at=None,
        token_expires=None,
        problem="",
        attempts=3,
        failures=2,
    )


def values(meter: Meter) -> dict[str, float]:
    return {metric.name: metric.samples[-1].value for metric in meter.metrics()}


def world() -> tuple[Meter, Watch, Readiness]:
    watch, gates = Watch(), Readiness("xds")
    measures = Measures(
        gates=gates,
        hub=Hub(name_tables=True),
        identity=identity,
        envoy=Latest[EnvoyState](),
        verdicts=Latest[Verdict](),
        dns=None,
        secrets=FileSecrets(CertWatch(clock=watch), base=Path("/")),
    )
    return Meter(measures, clock=watch), watch, gates


def test_the_start_ends_with_the_first_readiness_and_is_not_measured_again() -> None:
    meter, watch, gates = world()
    meter.look()
    assert "istio_agent_startup_duration_seconds" not in values(meter)
    watch.at += 2
    gates.open("xds")
    meter.look()
    watch.at += 50
    gates.close("xds", "away")
    gates.open("xds")
    meter.look()
    assert values(meter)["istio_agent_startup_duration_seconds"] == 2


def test_an_attempt_that_never_brought_anything_failed_and_any_other_ended() -> None:
    meter, watch, _ = world()
    for outcome in (AWAY, AWAY, None, None, AWAY, AWAY, None):
        meter.heard(outcome)
    watch.at += 7
    found = values(meter)
    assert found["istio_agent_istiod_connection_failures"] == 3
    assert found["istio_agent_istiod_connection_terminations"] == 1
    assert found["vmagent_config_age_seconds"] == 7


def test_before_anything_has_happened_there_are_numbers_and_no_names() -> None:
    meter, _, _ = world()
    found = values(meter)
    assert found["istio_agent_num_failed_outgoing_requests"] == 2
    assert found["vmagent_envoy_ready"] == 0
    assert "vmagent_application_healthy" not in found
    assert "vmagent_config_age_seconds" not in found
    assert meter.names() is None
