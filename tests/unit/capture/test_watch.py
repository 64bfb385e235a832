"""Transcripts: what is seen goes in, beside it what must be done."""

from itertools import pairwise

from vmagent.capture.watch import AWAY, FAST, FAST_FOR, GRACE, RETRY, SLOW, VERIFY_EVERY, Action, Seen, Watch


def seen(
    now: float, *, ready: bool = True, agent: bool = True, envoy: bool = True, leaving: bool = False
) -> Seen:
    waiting = {} if ready else {"xds": "connecting"}
    return Seen(now=now, waiting=waiting, agent=agent, envoy=envoy, leaving=leaving)


def running(now: float = 0.0) -> Watch:
    watch = Watch(captured=False, now=now)
    assert watch.decide(seen(now)) is Action.APPLY
    watch.applied(now)
    return watch


def test_capture_waits_for_every_gate() -> None:
    watch = Watch(captured=False, now=0)
    assert watch.decide(seen(1, ready=False)) is Action.WAIT
    assert watch.decide(seen(2)) is Action.APPLY
    watch.applied(2)
    assert watch.decide(seen(3)) is Action.WAIT


def test_while_envoy_lives_an_agent_that_restarts_changes_nothing() -> None:
    watch = running()
    for second in range(1, 9):
        assert watch.decide(seen(second, ready=False, agent=False)) is Action.WAIT
    assert watch.decide(seen(9)) is Action.APPLY


def test_an_agent_that_does_not_come_back_costs_the_rules_for_nobody_answers_names() -> None:
    watch = running()
    assert watch.decide(seen(1, ready=False, agent=False)) is Action.WAIT
    assert watch.decide(seen(1 + AWAY / 2, ready=False, agent=False)) is Action.WAIT
    assert watch.decide(seen(1.1 + AWAY, ready=False, agent=False)) is Action.REMOVE


def test_an_envoy_that_takes_no_connections_costs_the_rules_however_well_the_agent_is() -> None:
    watch = running()
    assert watch.decide(seen(1, ready=False, envoy=False)) is Action.WAIT
    assert watch.decide(seen(1.1 + GRACE, ready=False, envoy=False)) is Action.REMOVE
    watch.removed(1.1 + GRACE)
    assert watch.decide(seen(60, ready=False, envoy=False)) is Action.WAIT
    assert watch.decide(seen(61)) is Action.APPLY


def test_an_agent_that_stops_for_good_has_the_rules_taken_back_at_once_and_kept_away() -> None:
    watch = running()
    assert watch.decide(seen(1, leaving=True)) is Action.REMOVE
    watch.removed(1)
    assert watch.decide(seen(2, leaving=True)) is Action.WAIT
    assert watch.decide(seen(3)) is Action.APPLY


def test_without_agent_and_envoy_traffic_goes_direct_after_the_grace() -> None:
    watch = running()
    assert watch.decide(seen(1, ready=False, agent=False, envoy=False)) is Action.WAIT
    assert watch.decide(seen(1 + GRACE, ready=False, agent=False, envoy=False)) is Action.WAIT
    assert watch.decide(seen(1.1 + GRACE, ready=False, agent=False, envoy=False)) is Action.REMOVE
    watch.removed(1.1 + GRACE)
    assert watch.decide(seen(2 + GRACE, ready=False, agent=False, envoy=False)) is Action.WAIT
    assert watch.decide(seen(60)) is Action.APPLY


def test_one_sign_of_life_starts_the_grace_over() -> None:
    watch = running()
    assert watch.decide(seen(1, ready=False, agent=False, envoy=False)) is Action.WAIT
    assert watch.decide(seen(5, ready=False, agent=True, envoy=True)) is Action.WAIT
    assert watch.decide(seen(7, ready=False, agent=False, envoy=False)) is Action.WAIT


def test_a_restarted_agent_may_have_other_settings_so_apply_runs_again() -> None:
    watch = running()
    assert watch.decide(seen(1, ready=False)) is Action.WAIT
    assert watch.decide(seen(2)) is Action.APPLY


def test_rules_of_an_earlier_process_are_looked_after_at_once() -> None:
    watch = Watch(captured=True, now=0)
    assert watch.decide(seen(0, ready=False)) is Action.VERIFY
    assert watch.decide(seen(1)) is Action.APPLY


def test_the_rules_are_looked_at_now_and_then() -> None:
    watch = running()
    assert watch.decide(seen(VERIFY_EVERY - 0.1)) is Action.WAIT
    assert watch.decide(seen(VERIFY_EVERY)) is Action.VERIFY
    assert watch.decide(seen(VERIFY_EVERY + 1)) is Action.WAIT
    assert watch.decide(seen(2 * VERIFY_EVERY)) is Action.VERIFY


def test_a_failed_apply_is_tried_again_later_and_later() -> None:
    watch = Watch(captured=False, now=0)
    assert watch.decide(seen(0)) is Action.APPLY
    delay = watch.failed(0)
    assert watch.decide(seen(delay / 2)) is Action.WAIT
    assert watch.decide(seen(delay)) is Action.APPLY
    delays = [watch.failed(0) for _ in range(10)]
    assert delays[-1] > 10 * delay / 2


def test_gates_that_open_again_end_the_waiting_after_a_failure() -> None:
    watch = Watch(captured=False, now=0)
    watch.decide(seen(0))
    watch.failed(0)
    assert watch.decide(seen(0.1, ready=False)) is Action.WAIT
    assert watch.decide(seen(0.2)) is Action.APPLY


def test_a_start_is_watched_closely_and_a_long_wait_is_not() -> None:
    watch = Watch(captured=False, now=0)
    assert watch.pause(1) == FAST
    assert watch.pause(FAST_FOR + 1) == SLOW
    watch.applied(1)
    assert watch.pause(1) == SLOW


def test_rules_that_a_person_took_back_stay_away_whatever_the_gates_say() -> None:
    watch = running()
    assert watch.decide(seen(VERIFY_EVERY)) is Action.VERIFY
    watch.dismissed(VERIFY_EVERY)
    assert watch.decide(seen(30)) is Action.WAIT
    assert watch.decide(seen(31, ready=False)) is Action.WAIT
    assert watch.decide(seen(32)) is Action.WAIT


def failing(watch: Watch, *, until: float, ready: bool = True) -> list[float]:
    """When an apply that always fails, and takes no time, is tried: asked for, or after a look that finds
    rules missing.
    """
    tried, now = [], 0.0
    while now < until:
        if watch.decide(seen(now, ready=ready)) in (Action.APPLY, Action.VERIFY):
            tried.append(now)
            watch.failed(now)
        now += SLOW
    return tried


def gaps(times: list[float]) -> list[float]:
    return [then - now for now, then in pairwise(times)]


def test_an_apply_that_fails_while_captured_is_tried_no_more_often_than_one_that_fails_at_first() -> None:
    first, captured = Watch(captured=False, now=0), Watch(captured=True, now=0)
    tried = failing(captured, until=300)
    assert len(tried) <= 2 * len(failing(first, until=300))  # the jitter is a half
    assert max(gaps(tried)) > RETRY.most / 2
    assert all(gap >= RETRY.first / 2 for gap in gaps(tried))


def test_rules_that_cannot_be_mended_while_the_agent_is_not_ready_are_looked_at_later_and_later() -> None:
    tried = failing(running(), until=300, ready=False)
    assert max(gaps(tried)) > VERIFY_EVERY
    assert len(tried) < 300 / VERIFY_EVERY


def test_an_apply_that_failed_while_captured_is_made_good_when_it_is_due() -> None:
    watch = running()
    assert watch.decide(seen(VERIFY_EVERY)) is Action.VERIFY
    delay = watch.failed(VERIFY_EVERY)
    assert watch.decide(seen(VERIFY_EVERY + delay / 2)) is Action.WAIT
    assert watch.decide(seen(VERIFY_EVERY + delay)) is Action.APPLY
    watch.applied(VERIFY_EVERY + delay)
    assert watch.decide(seen(VERIFY_EVERY + delay + 1)) is Action.WAIT


def test_what_an_interrupted_apply_has_left_goes_before_anything_else_is_tried() -> None:
    watch = Watch(captured=False, now=0)
    assert watch.decide(seen(0)) is Action.APPLY
    delay = watch.failed(0)
    watch.interrupted()
    for now in (0.1, delay, 60.0):  # it could not be taken back yet
        assert watch.decide(seen(now)) is Action.REMOVE
        assert watch.decide(seen(now, ready=False, agent=False, envoy=False)) is Action.REMOVE
    watch.removed(60)
    assert watch.decide(seen(60, ready=False)) is Action.WAIT
    assert watch.decide(seen(61)) is Action.APPLY


def test_an_apply_that_was_interrupted_is_tried_again_no_sooner_than_one_that_failed() -> None:
    watch = Watch(captured=False, now=0)
    watch.decide(seen(0))
    delay = watch.failed(0)
    watch.interrupted()
    watch.removed(0)
    assert watch.decide(seen(delay / 2)) is Action.WAIT
    assert watch.decide(seen(delay)) is Action.APPLY
