"""The rules of proto-JSON, field by field."""

import pytest

from vmagent.config import schema
from vmagent.config.model import Json
from vmagent.config.schema import Message, Report, check


def checked(value: Json, kind: schema.Kind) -> tuple[Json, list[str]]:
    report = Report()
    return check(value, kind, ("field",), report), [finding.why for finding in report.wrong]


@pytest.mark.parametrize(
    ("kind", "value", "canonical"),
    [
        (schema.INT32, -5, -5),
        (schema.INT32, "7", 7),
        (schema.INT32, 7.0, 7),
        (schema.NUMBER, "1.5", 1.5),
        (schema.NUMBER, 1, 1),
        (schema.DURATION, "0.500s", "0.500s"),
        (schema.BOOLEAN, False, False),
        (schema.ADDRESS, "[::1]:15012", "[::1]:15012"),
        (schema.ADDRESS, "$(HOST_IP):9411", "$(HOST_IP):9411"),
        (schema.MapOf(schema.TEXT), {"a": "b", "c": None}, {"a": "b"}),
        (schema.Repeated(schema.TEXT), ["a"], ["a"]),
        (schema.Open(), {"a": [1]}, {"a": [1]}),
    ],
)
def test_a_valid_value_is_put_into_its_canonical_form(
    kind: schema.Kind, value: Json, canonical: Json
) -> None:
    assert checked(value, kind) == (canonical, [])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (schema.INT32, 1.5),
        (schema.INT32, True),
        (schema.INT32, 1 << 31),
        (schema.UINT32, -1),
        (schema.NUMBER, True),
        (schema.NUMBER, "x"),
        (schema.DURATION, "5"),
        (schema.DURATION, "s"),
        (schema.DURATION, 5),
        (schema.BOOLEAN, "true"),
        (schema.BOOLEAN, 1),
        (schema.PORT, 0),
        (schema.ADDRESS, "x:0"),
        (schema.ADDRESS, "x y:1"),
        (schema.ADDRESS, "::1:15012"),
        (schema.TEXT, {}),
        (schema.Open(), "x"),
        (schema.MapOf(schema.TEXT), "x"),
        (schema.Repeated(schema.TEXT), {}),
        (schema.enum(A=0), "B"),
        (schema.enum(A=0), False),
    ],
)
def test_an_invalid_value_is_reported_once_and_left_out(kind: schema.Kind, value: Json) -> None:
    left, wrong = checked(value, kind)
    assert left is None
    assert len(wrong) == 1


def test_one_bad_field_does_not_hide_another() -> None:
    report = Report()
    kind = Message({"port": schema.PORT, "name": schema.TEXT, "list": schema.Repeated(schema.TEXT)})
    assert check({"port": 0, "name": 1, "list": ["a", 2], "x": 1}, kind, (), report) == {"list": ["a"]}
    assert [finding.path for finding in report.wrong] == [("port",), ("name",), ("list", "1")]
    assert [finding.path for finding in report.unknown] == [("x",)]


def test_both_spellings_of_every_field_of_proxy_config_mean_the_same() -> None:
    assert schema.camel("k8s_sa_jwt_path") == "k8sSaJwtPath"
    assert schema.camel("statsd_udp_address") == "statsdUdpAddress"
    assert schema.camel("fileFlushMinSizeKb") == "fileFlushMinSizeKb"


def test_a_duration_is_seconds() -> None:
    assert schema.seconds("0.250s") == 0.25
