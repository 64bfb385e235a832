"""A real Envoy's numbers among the others."""

import asyncio
from pathlib import Path

from tests.flow.envoy.parts import control_plane, real, supervised, until
from tests.flow.status.world import agent, application
from tests.unit.status.texts import read, write
from vmagent.envoy.states import State


async def test_a_real_envoy_is_part_of_the_answer_for_as_long_as_it_lives(tmp_path: Path) -> None:
    config = real(tmp_path)
    with application("# TYPE sold_total counter\nsold_total 7\n") as shop:
        async with agent((shop.port, "/metrics"), envoy=config.ports.prometheus) as port:
            async with control_plane(config.xds_socket), supervised(config) as supervisor:
                await until(supervisor, State.READY)
                whole = await asyncio.to_thread(port.ask, "/stats/prometheus")
                some = await asyncio.to_thread(port.ask, "/stats/prometheus?filter=server.live")
            alone = await asyncio.to_thread(port.ask, "/stats/prometheus")
    assert "# TYPE envoy_server_live gauge\n" in whole.text
    assert write(read(whole.text)) == whole.text
    assert whole.failures("envoy") == 0
    assert {line.partition("{")[0] for line in some.text.splitlines() if line.startswith("envoy_")} == {
        "envoy_server_live"
    }
    assert alone.failures("envoy") == 1
    for answer in (whole, some, alone):
        assert "\nsold_total 7\n" in answer.text
        assert "\nvmagent_test 1\n" in answer.text
