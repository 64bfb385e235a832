"""What is taken from others, and what is not."""

import pytest

from tests.unit.status.texts import read, write
from vmagent.status.exposition import Format
from vmagent.status.reader import LONGEST_LINE, Malformed, Reader

ENVOY = """\
# TYPE envoy_cluster_upstream_cx_total counter
envoy_cluster_upstream_cx_total{cluster_name="xds-grpc"} 1

# TYPE envoy_server_initialization_time_ms histogram
envoy_server_initialization_time_ms_bucket{le="0.5"} 0
envoy_server_initialization_time_ms_bucket{le="+Inf"} 1
envoy_server_initialization_time_ms_sum{} 145
envoy_server_initialization_time_ms_count{} 1
"""

PYTHON = """\
# HELP python_info Python platform information
# TYPE python_info gauge
python_info{implementation="CPython",major="3"} 1.0
# HELP http_requests_total Requests
# TYPE http_requests_total counter
http_requests_total{path="/a,b}\\"{"} 2.0
# HELP http_requests_created Requests
# TYPE http_requests_created gauge
http_requests_created{path="/a,b}\\"{"} 1.7e+09
# TYPE rpc summary
rpc{quantile="0.5"} 4773 1395066363000
rpc_sum 1.7560473e+07
rpc_count 2693
"""

OPEN = """\
# TYPE http_requests counter
# UNIT http_requests requests
http_requests_total{a="b"} 5 1520879607.789 # {trace_id="KOO5S4vxi0o"} 0.67 1520879606.1
http_requests_created{a="b"} 1520430000.123 1520879607.789
# TYPE build info
build_info{version="1"} 1
# EOF
"""


@pytest.mark.parametrize("text", [ENVOY.replace("\n\n", "\n"), PYTHON])
def test_a_sound_text_comes_out_as_it_went_in(text: str) -> None:
    lines, found = text.splitlines(), write(read(text)).splitlines()
    assert sorted(lines) == sorted(found)
    assert [line for line in lines if line[0] != "#"] == [line for line in found if line[0] != "#"]


def test_a_sound_openmetrics_text_comes_out_as_it_went_in() -> None:
    assert write(read(OPEN, Format.OPENMETRICS), Format.OPENMETRICS) == OPEN


@pytest.mark.parametrize(("text", "form"), [(PYTHON, Format.TEXT), (OPEN, Format.OPENMETRICS)])
def test_how_the_bytes_arrive_makes_no_difference(text: str, form: Format) -> None:
    reader = Reader(form)
    for byte in text.encode():
        reader.feed(bytes((byte,)))
    assert reader.close() == read(text, form)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n", {"a": "histogram"}),
        ("# TYPE a summary\na{quantile=\"1\"} 1\na_sum 1\n", {"a": "summary"}),
        ("# TYPE a gauge\na 1\na_count 1\n", {"a": "gauge", "a_count": ""}),
        ("a_total 1\n", {"a_total": ""}),
    ],
)  # fmt: skip
def test_a_sample_belongs_to_the_family_whose_type_knows_its_suffix(text: str, kinds: dict[str, str]) -> None:
    assert {family.name.decode(): family.kind.decode() for family in read(text)} == kinds


def test_a_family_that_stands_in_two_places_is_brought_together() -> None:
    text = "# TYPE a gauge\na{x=\"1\"} 1\n# TYPE b gauge\nb 1\na{x=\"2\"} 1\n"  # fmt: skip
    assert [bytes(family.lines) for family in read(text)] == [b'a{x="1"} 1\na{x="2"} 1\n', b"b 1\n"]


@pytest.mark.parametrize("text", ["a 1", "a 1\r\n", "\n  a 1\n", "# any comment\na 1\n", "#\n# HELP\na 1\n"])
def test_what_does_no_harm_is_put_right(text: str) -> None:
    assert write(read(text)) == "a 1\n"


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "a",
        "a one",
        "a 1 2 3",
        "a 1 1.5",
        "1a 1",
        'a{b="c} 1',
        'a{b="c"',
        'a{b="c"; d="e"} 1',
        "a{b=c} 1",
        r'a{b="\x"} 1',
        '{"a.b"} 1',
        "a 0x10",
        "a 1_000",
        "a 1 # {} 1",
        "\x1f\x8b",
        "# TYPE a enumeration",
        "# TYPE a-b gauge",
        "# TYPE a gauge\n# TYPE a counter",
        "# TYPE a histogram\na 1",
        "a 1\n# TYPE a histogram",
    ],
)
def test_a_line_that_would_spoil_the_whole_is_refused_and_named(line: str) -> None:
    with pytest.raises(Malformed, match=r"^line \d+ "):
        read(f"ok 1\n{line}\nok 2\n")


def test_a_label_that_is_not_utf8_is_refused() -> None:
    reader = Reader(Format.TEXT)
    with pytest.raises(Malformed):
        reader.feed(b'a{b="\xff"} 1\n')
    reader = Reader(Format.TEXT)
    reader.feed('a{b="ü"} 1\n'.encode())
    assert bytes(reader.close()[0].lines).decode() == 'a{b="ü"} 1\n'


@pytest.mark.parametrize(
    "text",
    [
        "a 1\n",  # no end: it was cut off
        "# EOF\na 1\n",
        "# TYPE a counter\na 1\n# EOF\n",
        "# TYPE a untyped\na 1\n# EOF\n",
    ],
)
def test_openmetrics_has_rules_of_its_own(text: str) -> None:
    with pytest.raises(Malformed):
        read(text, Format.OPENMETRICS)


def test_a_line_without_end_is_not_collected() -> None:
    reader = Reader(Format.TEXT)
    reader.feed(b"a" * LONGEST_LINE)
    with pytest.raises(Malformed, match="longer than"):
        reader.feed(b"a")


@pytest.mark.parametrize(
    "time", ["NaN", "+Inf", "-Inf", "1e400", "-1e400", "1e306", "9223372036854775.808", "1e20"]
)
def test_a_time_that_no_scraper_can_keep_is_none(time: str) -> None:
    for line in (f"a 1 {time}", f"a 1 # {{}} 1 {time}"):
        with pytest.raises(Malformed, match="line 1 has a time that is none"):
            read(f"{line}\n# EOF\n", Format.OPENMETRICS)


@pytest.mark.parametrize("time", ["9223372036854775808", "-9223372036854775809", "1" * 400, "1" * 5000])
def test_nor_is_one_of_the_older_text(time: str) -> None:
    with pytest.raises(Malformed, match="line 1 has a time that is none"):
        read(f"a 1 {time}\n")


def test_a_value_may_be_no_number_and_infinite() -> None:
    assert write(read("a NaN 1\nb -Inf 1\n# EOF\n", Format.OPENMETRICS)) == "a NaN 1\nb -Inf 1\n"
