import pytest

from vmagent.identity.rotation import EARLIEST, SHORTEST, renew_at, retry_in

DAY = 24 * 3600.0


def at(roll: float = 0.5, *, ratio: float = 0.5, jitter: float = 0.01, life: float = DAY) -> float:
    return renew_at(received=1000.0, expires=1000.0 + life, ratio=ratio, jitter=jitter, roll=roll) - 1000.0


def test_renewal_begins_at_half_life() -> None:
    assert at() == DAY / 2


def test_a_fleet_spreads_its_renewals_around_half_life() -> None:
    assert at(0.0) == pytest.approx(DAY * 0.51)
    assert at(1.0) == pytest.approx(DAY * 0.49)


def test_a_ratio_of_one_does_not_renew_in_a_loop() -> None:
    assert at(1.0, ratio=1.0) == pytest.approx(DAY * EARLIEST)
    assert at(1.0, ratio=7.0) == pytest.approx(DAY * EARLIEST)


def test_a_ratio_of_zero_waits_to_the_end_and_not_beyond() -> None:
    assert at(0.0, ratio=0.0) == DAY


def test_a_certificate_that_came_expired_is_renewed_at_once() -> None:
    assert renew_at(received=1000.0, expires=900.0, ratio=0.5, jitter=0.01, roll=0.5) == 900.0


def test_attempts_grow_denser_towards_the_end_of_a_certificate() -> None:
    assert retry_in(10.0, now=0.0, expires=8 * 60.0) == 10.0
    assert retry_in(10.0, now=0.0, expires=16.0) == 2.0
    assert retry_in(10.0, now=0.0, expires=0.1) == SHORTEST


def test_without_a_certificate_the_backoff_alone_decides() -> None:
    assert retry_in(10.0, now=0.0, expires=None) == 10.0
    assert retry_in(10.0, now=5.0, expires=5.0) == 10.0
