from itertools import islice

from vmagent.runtime.backoff import Backoff


def test_delays_double_up_to_the_most() -> None:
    delays = Backoff(first=1, most=5).delays(roll=lambda: 1.0)
    assert list(islice(delays, 5)) == [1, 2, 4, 5, 5]


def test_jitter_takes_away_up_to_half() -> None:
    delays = Backoff(first=1, most=8).delays(roll=lambda: 0.0)
    assert list(islice(delays, 3)) == [0.5, 1, 2]
