"""The rhythm of probing, without waiting for it."""

import asyncio
from collections.abc import Callable

import pytest

from vmagent.health.config import ProbeConfig, TcpSocket
from vmagent.health.verdict import Verdict
from vmagent.health.watch import HealthWatch
from vmagent.runtime.latest import Latest

PROBE = ProbeConfig(method=TcpSocket(port=80), initial_delay=3.0, period=10.0, failure_threshold=1)


class Over(BaseException):
    """The script has no more results. No Exception: the watch lives on after those."""


class Script:
    """A clock that sleeps in no time, and a check that takes ``lasts`` seconds and has a list of results."""

    def __init__(self, *results: str | Exception | None, lasts: float = 0.0) -> None:
        self.time = 100.0
        self.probed: list[float] = []
        self._results = list(results)
        self._lasts = lasts

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds

    async def check(self, probe: ProbeConfig) -> str | None:
        if not self._results:
            raise Over
        self.probed.append(self.time - 100.0)
        self.time += self._lasts
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


async def run(
    script: Script, envoy_ready: Callable[[], str | None] = lambda: None
) -> tuple[HealthWatch, Latest[Verdict]]:
    verdicts: Latest[Verdict] = Latest()
    watch = HealthWatch(PROBE, verdicts, envoy_ready=envoy_ready, clock=script, check=script.check)
    with pytest.raises(Over):
        await watch.run()
    await watch.drain()
    return watch, verdicts


async def test_the_first_probe_comes_right_after_the_initial_delay() -> None:
    script = Script(None, None, None)
    await run(script)
    assert script.probed == [3.0, 13.0, 23.0]


@pytest.mark.parametrize(
    ("lasts", "probed"), [(4.0, [3.0, 13.0, 23.0]), (10.0, [3.0, 13.0, 23.0]), (12.0, [3.0, 23.0, 43.0])]
)
async def test_a_slow_probe_drops_ticks_and_does_not_queue_them(lasts: float, probed: list[float]) -> None:
    script = Script(None, None, None, lasts=lasts)
    await run(script)
    assert script.probed == probed


async def test_changes_are_published_and_nothing_else() -> None:
    class Noted(Latest[Verdict]):
        """A cell's readers skip what they missed; here nothing may be missed."""

        def publish(self, value: Verdict) -> None:
            seen.append(value)

    seen: list[Verdict] = []
    script = Script("refused", "refused", None, None)
    watch = HealthWatch(PROBE, Noted(), envoy_ready=lambda: None, clock=script, check=script.check)
    with pytest.raises(Over):
        await watch.run()
    assert seen == [Verdict(healthy=False, message="refused"), Verdict(healthy=True)]


async def test_the_first_probe_waits_for_envoy_and_then_comes_at_once() -> None:
    script = Script(None)
    reasons: list[str | None] = ["no listeners yet", "no listeners yet", None, None, None]
    _, verdicts = await run(script, lambda: reasons.pop(0))
    assert script.probed == [pytest.approx(3.2)]
    assert verdicts.value == Verdict(healthy=True)


async def test_while_envoy_is_away_the_application_is_not_asked() -> None:
    script = Script(None, None)
    reasons: list[str | None] = [None, None, "killed", None, None]
    watch, _ = await run(script, lambda: reasons.pop(0))
    assert script.probed == [3.0, 23.0]
    assert watch.last == ""


async def test_envoys_reason_is_the_message() -> None:
    script = Script(None)
    reasons: list[str | None] = [None, None, "killed", None]
    watch, verdicts = await run(script, lambda: reasons.pop(0))
    assert verdicts.value == Verdict(healthy=False, message="killed")
    assert watch.last == "killed"


async def test_a_probe_that_raises_is_a_failed_probe_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(UnicodeError("label empty"), UnicodeError("label empty"), None)
    seen: list[Verdict | None] = []
    verdicts: Latest[Verdict] = Latest()

    ready: str | None = None

    def looked() -> str | None:
        """Right before each probe, so after the one before it was weighed."""
        seen.append(verdicts.value)
        return ready

    watch = HealthWatch(PROBE, verdicts, envoy_ready=looked, clock=script, check=script.check)
    with pytest.raises(Over):
        await watch.run()
    failed = Verdict(healthy=False, message="the probe itself failed: UnicodeError: label empty")
    assert seen[-3:] == [failed, failed, Verdict(healthy=True)]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "the probe itself failed"
    ]


async def test_the_part_ends_when_it_is_cancelled() -> None:
    class Never(Script):
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    script = Never()
    watch = HealthWatch(PROBE, Latest(), envoy_ready=lambda: None, clock=script, check=script.check)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.run(), 0.01)
