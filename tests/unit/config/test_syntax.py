"""How single values are spelt."""

from collections.abc import Callable

import pytest

from vmagent.config import flags, syntax
from vmagent.config.model import Address, ScrapeTarget


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (syntax.boolean, "1", True),
        (syntax.boolean, "T", True),
        (syntax.boolean, "True", True),
        (syntax.boolean, "0", False),
        (syntax.boolean, "FALSE", False),
        (syntax.duration, "24h", 86400.0),
        (syntax.duration, "1h30m", 5400.0),
        (syntax.duration, "1.5s", 1.5),
        (syntax.duration, "100ms", 0.1),
        (syntax.duration, "0", 0.0),
        (syntax.ratio, "0.5", 0.5),
        (syntax.jitter, "0", 0.0),
        (syntax.port, "15012", 15012),
        (syntax.port_or_off, "0", 0),
        (syntax.ip, "2001:DB8::0", "2001:db8::"),
        (syntax.address, "[::1]:1", Address(host="::1", port=1)),
        (syntax.label, "istio-demo", "istio-demo"),
        (syntax.domain, "td1.example.com", "td1.example.com"),
        (syntax.file_name, "socket", "socket"),
        (syntax.labels, '{"a":"b"}', {"a": "b"}),
        (syntax.json_list, "[]", "[]"),
        (syntax.envoy_levels, "info,upstream:debug", "info,upstream:debug"),
        (syntax.scrape, '{"scrape":"true","port":"8080"}', (ScrapeTarget(port=8080, path="/metrics"),)),
        (syntax.scrape, "{}", (ScrapeTarget(port=80, path="/metrics"),)),
        (syntax.scrape, '{"scrape":"false","port":"15090"}', ()),
        (
            syntax.scrape,
            '{"targets":[{"port":"1","path":"/a"},{"port":"2"}]}',
            (ScrapeTarget(port=1, path="/a"), ScrapeTarget(port=2, path="/metrics")),
        ),
    ],
)
def test_a_value_is_read(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (syntax.boolean, "yes"),
        (syntax.boolean, "TrUe"),
        (syntax.boolean, ""),
        (syntax.duration, "5"),
        (syntax.duration, "5d"),
        (syntax.duration, "-5s"),
        (syntax.duration, "s"),
        (syntax.duration, ""),
        (syntax.positive_duration, "0s"),
        (syntax.ratio, "0"),
        (syntax.ratio, "1"),
        (syntax.ratio, "nan"),
        (syntax.ratio, "x"),
        (syntax.jitter, "1"),
        (syntax.jitter, "-0.1"),
        (syntax.jitter, "x"),
        (syntax.port, "0"),
        (syntax.port, "65536"),
        (syntax.port, "٣"),
        (syntax.ip, "192.168.0"),
        (syntax.address, "istiod"),
        (syntax.address, "[x]:1"),
        (syntax.address, "-x:1"),
        (syntax.label, "Istio"),
        (syntax.label, "a.b"),
        (syntax.domain, "${VM_NAMESPACE}"),
        (syntax.file_name, "a/b"),
        (syntax.file_name, ".."),
        (syntax.absolute, "x"),
        (syntax.labels, "{app:nginx}"),
        (syntax.labels, '{"a":1}'),
        (syntax.labels, "[]"),
        (syntax.json_list, "{}"),
        (syntax.json_list, "x"),
        (syntax.envoy_levels, "loud"),
        (syntax.envoy_levels, "a:b:info"),
        (syntax.scrape, '{"port":"15020"}'),
        (syntax.scrape, '{"port":"x"}'),
        (syntax.choice("a", ""), "b"),
    ],
)
def test_a_bad_value_is_refused_with_what_to_write_instead(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"^write "):
        parse(text)


def test_an_address_prints_as_it_is_written() -> None:
    for text in ("istiod.istio-system.svc:15012", "[::1]:15012", "192.168.0.59:15012"):
        assert str(Address.parse(text)) == text


def test_flags_of_pilot_agent_are_taken_in_every_spelling() -> None:
    assert flags.parse("--proxyLogLevel=info -concurrency 2 --stsPort=0 --profiling") == (
        {"proxyLogLevel": "info", "concurrency": "2", "stsPort": "0"},
        ("profiling",),
    )


@pytest.mark.parametrize("line", ["--proxyLogLvel=info", "proxyLogLevel=info", "--concurrency"])
def test_a_flag_nobody_knows_or_without_its_value_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        flags.parse(line)
