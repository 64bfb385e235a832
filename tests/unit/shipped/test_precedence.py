"""Who goes first when memory runs out is said in the unit, by the launcher and by the agent."""

import re

from tests.conftest import ROOT
from vmagent.envoy.launcher import OOM_SCORE

UNIT = (ROOT / "systemd" / "istio-agent.service").read_text()


def test_the_unit_allows_envoy_the_score_that_its_launcher_gives_it() -> None:
    assert re.findall(r"^OOMScoreAdjust=(-?\d+)$", UNIT, re.M) == [str(OOM_SCORE)]
