"""What scrapers say that they read."""

import pytest

from vmagent.status import accept
from vmagent.status.exposition import Format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    "header", [PROMETHEUS_2, PROMETHEUS_3, "Application/OpenMetrics-Text; version=1.0.0"]
)
def test_prometheus_would_rather_have_openmetrics(header: str) -> None:
    assert accept.reads_openmetrics(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "*/*",
        "application/*",
        "text/plain",
        "application/openmetrics-text",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=1.0.0;q=0",
        "application/openmetrics-text;version=1.0.0;q=many",
        "application/openmetrics-text;version=1.0.0;q=nan",
        "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;q=0.9",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        ";,=;q",
    ],
)
def test_everybody_else_gets_text(header: str) -> None:
    assert not accept.reads_openmetrics(header)


def test_only_the_formats_that_we_read_are_asked_for() -> None:
    assert accept.asking(openmetrics=False) == "text/plain;version=0.0.4"
    assert accept.asking(openmetrics=True) == (
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    )


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("", Format.TEXT),
        ("text/plain; version=0.0.4", Format.TEXT),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format.OPENMETRICS),
        ("Application/OpenMetrics-Text", Format.OPENMETRICS),
    ],
)
def test_an_answer_is_what_its_content_type_says(header: str, form: Format) -> None:
    assert accept.format_of(header) is form


@pytest.mark.parametrize(
    ("header", "gzip"), [("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False)]
)
def test_gzip_is_for_whoever_takes_it(header: str, gzip: bool) -> None:
    assert accept.takes_gzip(header) is gzip
