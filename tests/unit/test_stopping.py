"""Stopping has a budget, and systemd's patience is larger."""

import re

from tests.conftest import ROOT
from vmagent.config.sections import LONGEST_DRAIN
from vmagent.dns.server import DnsServer
from vmagent.envoy.config import EnvoyConfig, Node, Timing
from vmagent.envoy.supervisor import Supervisor
from vmagent.farewell import Farewell
from vmagent.health.watch import HealthWatch
from vmagent.identity.keeper import Keeper
from vmagent.runtime.clock import SystemClock
from vmagent.sockets import EnvoySockets
from vmagent.status.endpoint import Endpoint
from vmagent.xds.housekeeping import Housekeeping
from vmagent.xds.upstream import Upstream

MARGIN = 5.0
"""Seconds for what no part accounts for: the interpreter's end, a busy machine."""


def test_systemd_waits_longer_than_all_parts_may_take_to_drain() -> None:
    unit = (ROOT / "systemd" / "istio-agent.service").read_text()
    patience = float(re.findall(r"^TimeoutStopSec=(\d+)s$", unit, re.M)[0])
    slowest = Supervisor(
        EnvoyConfig(
            node=Node(id="n", cluster="c"), ips=("10.0.0.1",), timing=Timing(termination_drain=LONGEST_DRAIN)
        ),
        clock=SystemClock(),
    )
    others = (Farewell, Endpoint, DnsServer, Keeper, Upstream, EnvoySockets, Housekeeping, HealthWatch)
    assert slowest.grace + sum(part.grace for part in others) + MARGIN <= patience
