import pytest

from vmagent.envoy.restarts import PATIENCE, Restarts
from vmagent.envoy.states import NEXT, Signal, State, after

LEAVING = {Signal.STOP_ASKED, Signal.LEFT}
HAS_PROCESS = {State.STARTING, State.READY, State.UNREADY, State.DRAINING}


def test_every_state_can_be_asked_to_stop() -> None:
    assert all(Signal.STOP_ASKED in NEXT[state] for state in State)


def test_every_state_with_a_process_survives_its_exit_and_no_other_state_has_one() -> None:
    assert {state for state in State if Signal.EXITED in NEXT[state]} == HAS_PROCESS


def test_every_state_can_be_reached() -> None:
    reached = {State.STOPPED}
    while True:
        more = {to for state in reached for to in NEXT[state].values()} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)


def test_whatever_happens_a_living_agent_tries_again() -> None:
    for state in set(State) - {State.DRAINING, State.ENDED}:
        reachable = {to for signal, to in NEXT[state].items() if signal not in LEAVING}
        assert State.ENDED not in reachable
        assert reachable


def test_the_end_is_final() -> None:
    assert set(NEXT[State.ENDED].values()) == {State.ENDED}


def test_an_envoy_that_stopped_serving_may_serve_again() -> None:
    assert after(after(State.READY, Signal.STOPPED_SERVING), Signal.BECAME_READY) is State.READY


def test_what_is_not_in_the_table_is_a_bug() -> None:
    with pytest.raises(KeyError):
        after(State.ENDED, Signal.SPAWNED)


def test_the_first_restart_is_immediate_and_later_ones_are_slower_and_slower_but_bounded() -> None:
    restarts = Restarts(roll=lambda: 1.0)
    delays = [restarts.delay(lived=0.1) for _ in range(10)]
    assert delays == [0, 0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]
    assert restarts.in_a_row == 10


def test_an_envoy_that_lived_long_enough_is_restarted_at_once() -> None:
    restarts = Restarts(roll=lambda: 1.0)
    for _ in range(5):
        restarts.delay(lived=0.1)
    assert restarts.delay(lived=PATIENCE.settled) == 0
    assert restarts.delay(lived=0.1) == 0.25
