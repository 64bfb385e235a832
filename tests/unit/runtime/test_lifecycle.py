import asyncio

import pytest

from vmagent.runtime.lifecycle import run_parts


class Recorded:
    grace = 1.0

    def __init__(self, name: str, story: list[str], *, crash: bool = False, grace: float = 1.0) -> None:
        self.name = name
        self.grace = grace
        self._story = story
        self._crash = crash

    async def run(self) -> None:
        self._story.append(f"{self.name} runs")
        if self._crash:
            raise RuntimeError(self.name)
        try:
            await asyncio.Event().wait()
        finally:
            self._story.append(f"{self.name} ends")

    async def drain(self) -> None:
        self._story.append(f"{self.name} drains")
        if self.grace < 1:
            await asyncio.Event().wait()


async def test_parts_start_in_order_and_drain_in_reverse() -> None:
    story: list[str] = []
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    await run_parts([Recorded("identity", story), Recorded("envoy", story)], stop)
    assert story[:2] == ["identity runs", "envoy runs"]
    assert story.index("envoy drains") < story.index("identity drains")
    assert {"identity ends", "envoy ends"} <= set(story)


async def test_a_crash_stops_everything() -> None:
    story: list[str] = []
    with pytest.raises(ExceptionGroup):
        await run_parts([Recorded("identity", story), Recorded("envoy", story, crash=True)], asyncio.Event())
    assert "identity ends" in story


async def test_a_drain_that_does_not_end_is_cancelled_after_its_grace() -> None:
    story: list[str] = []
    stop = asyncio.Event()
    stop.set()
    await run_parts([Recorded("envoy", story, grace=0.01)], stop)
    assert story == ["envoy drains"] or story[-1] == "envoy ends"
