import pytest

from vmagent.dns.counters import BUCKETS, Histogram


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0005, 0), (0.001, 0), (0.0011, 1), (5.0, 5), (6.0, 6)])
def test_a_duration_falls_into_the_first_bucket_that_holds_it(seconds: float, bucket: int) -> None:
    histogram = Histogram()
    histogram.observe(seconds)
    assert histogram.counts.index(1) == bucket
    assert (len(histogram.counts), histogram.total) == (len(BUCKETS) + 1, seconds)
