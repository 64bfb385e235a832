import asyncio
import threading
from typing import Any

import pytest

from vmagent.runtime.watchdog import BEATS, Pulse, Watchdog


def answering(name: str = "dns") -> Pulse:
    pulse = Pulse(name)
    pulse.begin(pulse.answer)
    return pulse


def test_systemd_hears_of_us_as_long_as_every_thread_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    told: list[str] = []
    hung = Pulse("dns")
    hung.begin(lambda: None)
    watchdog = Watchdog(told.append, patience=30)
    watchdog.pulses = (answering("envoy-output"), hung)
    for _ in range(4):
        watchdog.beat()
    assert told == ["WATCHDOG=1"], "it was asked once, and has not answered since"
    hung.answer()
    watchdog.beat()
    assert told == ["WATCHDOG=1"] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "no sign of life from thread dns: systemd gets none either",
        "thread dns is back",
    ]


def test_of_a_thread_that_has_not_begun_or_has_ended_nothing_is_expected() -> None:
    told: list[str] = []
    watchdog = Watchdog(told.append, patience=30)
    pulse = Pulse("dns")
    watchdog.pulses = (pulse,)
    watchdog.beat()
    watchdog.beat()
    pulse.begin(lambda: None)
    watchdog.beat()
    pulse.end()
    watchdog.beat()
    assert told == ["WATCHDOG=1"] * 4


def test_a_real_thread_is_woken_and_answers() -> None:
    bell, answered = threading.Event(), threading.Event()
    pulse = Pulse("worker")

    def work() -> None:
        bell.wait(10)
        pulse.answer()
        answered.set()

    thread = threading.Thread(target=work)
    thread.start()
    pulse.begin(bell.set)
    pulse.ask()
    assert answered.wait(10)
    assert not pulse.is_missing
    thread.join()


async def test_it_beats_several_times_within_systemds_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asyncio.Queue[str]()
    waits: list[float] = []
    loop = asyncio.get_running_loop()

    def soon(delay: float, *call: Any) -> None:
        waits.append(delay)
        loop.call_soon(*call)

    monkeypatch.setattr(loop, "call_later", soon)
    Watchdog(told.put_nowait, patience=30).start()
    for _ in range(BEATS):
        assert await told.get() == "WATCHDOG=1"
    assert waits
    assert max(waits) <= 30 / BEATS


async def test_without_a_watchdog_nothing_is_said() -> None:
    told: list[str] = []
    Watchdog(told.append, patience=0).start()
    assert told == []
