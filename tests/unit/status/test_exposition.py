"""How metrics of our own are written."""

import math

import pytest

from tests.unit.status.texts import read, write
from vmagent.status.exposition import Format, Metric, Sample, families, histogram

REQUESTS = Metric(
    name="istio_agent_dns_requests_total", kind="counter", help="DNS questions.", samples=(Sample(value=3),)
)
FAILURES = Metric(
    name="istio_agent_istiod_connection_failures",
    kind="counter",
    help="Failures.",
    samples=(Sample(value=1, labels=(("type", 'a "b"\\\n'),)),),
)


def test_a_counter_bears_its_whole_name_in_the_text_format() -> None:
    assert write(list(families([REQUESTS], Format.TEXT))) == (
        "# TYPE istio_agent_dns_requests_total counter\n"
        "# HELP istio_agent_dns_requests_total DNS questions.\n"
        "istio_agent_dns_requests_total 3\n"
    )


def test_openmetrics_names_the_family_without_total_and_says_where_it_ends() -> None:
    assert write(list(families([REQUESTS], Format.OPENMETRICS)), Format.OPENMETRICS) == (
        "# TYPE istio_agent_dns_requests counter\n"
        "# HELP istio_agent_dns_requests DNS questions.\n"
        "istio_agent_dns_requests_total 3\n"
        "# EOF\n"
    )


def test_a_counter_of_istio_without_total_keeps_its_name_in_openmetrics() -> None:
    text = write(list(families([FAILURES], Format.OPENMETRICS)), Format.OPENMETRICS)
    assert "# TYPE istio_agent_istiod_connection_failures unknown\n" in text
    assert "\nistio_agent_istiod_connection_failures{" in text


def test_quotes_backslashes_and_line_ends_in_a_label_are_escaped() -> None:
    assert r'{type="a \"b\"\\\n"} 1' in write(list(families([FAILURES], Format.TEXT)))


def test_a_histogram_is_cumulated_and_ends_with_everything() -> None:
    metric = histogram("seconds", "Time.", bounds=(0.001, 1.0), counts=(2, 3, 4), total=9.5)
    assert write(list(families([metric], Format.TEXT))).splitlines()[2:] == [
        'seconds_bucket{le="0.001"} 2',
        'seconds_bucket{le="1"} 5',
        'seconds_bucket{le="+Inf"} 9',
        "seconds_sum 9.5",
        "seconds_count 9",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.25, "0.25"), (-12.5, "-12.5"), (1e300, "1e+300"), (math.inf, "+Inf"), (math.nan, "NaN")],
)
def test_numbers_are_written_as_everybody_reads_them(value: float, text: str) -> None:
    metric = Metric(name="x", kind="gauge", help="", samples=(Sample(value=value),))
    assert write(list(families([metric], Format.TEXT))) == f"# TYPE x gauge\nx {text}\n"


@pytest.mark.parametrize("form", list(Format))
def test_what_we_write_we_can_read(form: Format) -> None:
    metric = histogram("seconds", "Time.", bounds=(1.0,), counts=(1, 0), total=0.5)
    text = write(list(families([REQUESTS, FAILURES, metric], form)), form)
    assert write(read(text, form), form) == text
