"""Tables of a dump that no Envoy would print."""

import contextlib
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from lab.proxyconfig import clusters, endpoints, listeners, routes
from lab.proxyconfig.dump import BadDump
from lab.tables import table
from tests.unit.lab.dumped import LIVE, config_dump, documents, served

ODD: tuple[Any, ...] = (None, 7, "x", [], {}, [[]], {"x": []}, True, ["x", 7], "|||||")


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in below:
        yield from places(each, (*above, key))


def with_odd(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    if not place:
        return odd
    key, *rest = place
    copy = value.copy()
    copy[key] = with_odd(value[key], tuple(rest), odd)
    return copy


def every_table(dump: Any) -> Iterator[Iterable[Sequence[str]]]:
    yield routes.rows(routes.chosen(dump), wide=True)
    yield routes.rows(routes.chosen(dump))
    yield clusters.rows(clusters.chosen(dump, clusters.Filter(fqdn="x")))
    yield listeners.rows(listeners.chosen(dump, listeners.Filter(address="0.0.0.0")))
    yield endpoints.rows(dump, endpoints.Filter())


@pytest.mark.parametrize("seed", range(4))
def test_what_is_odd_in_a_dump_breaks_no_table(seed: int) -> None:
    """One value at a time, at any depth, is another thing than Envoy would print."""
    choose = random.Random(seed)
    for whole in (config_dump(served(documents("xxx.jd.com"))), LIVE):
        every = list(places(whole))[1:]
        for place in choose.sample(every, min(len(every), 300)):
            dump = with_odd(whole, place, choose.choice(ODD))
            with contextlib.suppress(BadDump):  # a section that is gone
                for rows in every_table(dump):
                    table(rows, gap=1)
