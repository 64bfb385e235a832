"""The text that Prometheus reads."""

from lab.controlplane import type_urls
from lab.controlplane.metrics import MAX_SERIES, Counter, Gauge, Histogram, Instrument, text
from lab.controlplane.pilot_metrics import PilotMetrics


def lines(*instruments: Instrument) -> list[str]:
    return text(iter(instruments)).splitlines()


def test_a_counter_is_one_line_a_series() -> None:
    counter = Counter("pushes", "Pushes.", ("type",))
    counter.add("cds")
    counter.add("cds", by=2)
    counter.add("lds")
    assert lines(counter) == [
        "# HELP pushes Pushes.",
        "# TYPE pushes counter",
        'pushes{type="cds"} 3',
        'pushes{type="lds"} 1',
    ]


def test_a_label_may_hold_anything() -> None:
    counter = Counter("c", "C.", ("what",))
    counter.add('a "b"\\\n')
    assert lines(counter)[-1] == 'c{what="a \\"b\\"\\\\\\n"} 1'


def test_a_gauge_is_asked_when_it_is_read() -> None:
    now: dict[tuple[str, ...], float] = {(): 1.0}
    gauge = Gauge("g", "G.", lambda: now)
    assert lines(gauge)[-1] == "g 1"
    now[()] = 2.5
    assert lines(gauge)[-1] == "g 2.5"


def test_the_buckets_of_a_histogram_hold_what_is_below_them_too() -> None:
    histogram = Histogram("h", "H.", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    assert lines(histogram)[2:] == [
        'h_bucket{le="0.1"} 2',
        'h_bucket{le="1"} 3',
        'h_bucket{le="+Inf"} 4',
        "h_sum 7.6500000000000004",
        "h_count 4",
    ]


def test_the_number_of_series_is_bounded() -> None:
    counter = Counter("c", "C.", ("node", "err"))
    for number in range(2 * MAX_SERIES):
        counter.add(str(number), "x")
    assert len(counter.values) == MAX_SERIES + 1
    assert counter.values["other", "other"] == MAX_SERIES


def test_a_refusal_is_counted_under_istiods_names() -> None:
    metrics = PilotMetrics()
    metrics.rejected(type_urls.CLUSTER, "vm.shop", 13)
    metrics.rejected(type_urls.NAME_TABLE, "vm.shop", 3)
    told = text(metrics.instruments())
    assert 'pilot_total_xds_rejects{type="cds"} 1\n' in told
    assert 'pilot_total_xds_rejects{type="nds"} 1\n' in told
    assert 'pilot_xds_cds_reject{node="vm.shop",err="Internal"} 1\n' in told
