"""OpenMetrics in the words of the older format."""

import pytest

from tests.unit.status.texts import read, translated, write


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            '# TYPE a counter\na_total{x="1"} 5 # {trace="t"} 0.6\na_created{x="1"} 15.5\n',
            '# TYPE a_total counter\na_total{x="1"} 5\n# TYPE a_created gauge\na_created{x="1"} 15.5\n',
        ),
        ("# TYPE a gauge\n# UNIT a seconds\na 1\n", "# TYPE a gauge\na 1\n"),
        ("# TYPE a unknown\na 1\n", "# TYPE a untyped\na 1\n"),
        ("a 1\n", "# TYPE a untyped\na 1\n"),
        ('# TYPE a info\na_info{v="1"} 1\n', '# TYPE a_info gauge\na_info{v="1"} 1\n'),
        ('# TYPE a stateset\na{a="on"} 1\n', '# TYPE a gauge\na{a="on"} 1\n'),
        (
            '# TYPE a histogram\na_bucket{le="+Inf"} 1 # {} 1\na_count 1\na_sum 1\na_created 2\n',
            '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n'
            "# TYPE a_created gauge\na_created 2\n",
        ),
        (
            '# TYPE a gaugehistogram\na_bucket{le="+Inf"} 1\na_gsum 1\n',
            '# TYPE a_bucket untyped\na_bucket{le="+Inf"} 1\n# TYPE a_gsum untyped\na_gsum 1\n',
        ),
        (
            '# TYPE a summary\na{quantile="0.5"} 1\na_sum 3\n',
            '# TYPE a summary\na{quantile="0.5"} 1\na_sum 3\n',
        ),
    ],
)  # fmt: skip
def test_every_type_has_its_counterpart(given: str, wanted: str) -> None:
    assert translated(f"{given}# EOF\n") == wanted
    assert write(read(wanted)) == wanted


def test_a_time_is_in_milliseconds_there() -> None:
    assert "a 1 1520879607789\n" in translated("a 1 1520879607.789\n# EOF\n")


def test_a_quote_in_a_help_needs_no_escape_there() -> None:
    assert '# HELP a say "a"\n' in translated('# HELP a say \\"a\\"\na 1\n# EOF\n')
