"""One text of several."""

import pytest

from tests.unit.status.texts import merged, read, write
from vmagent.status.merge import merge


def test_families_that_only_one_source_has_stand_in_the_order_of_the_sources() -> None:
    assert merged("# TYPE a gauge\na 1\n", "# TYPE b gauge\nb 1\n", "c 1\n") == (
        "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\nc 1\n"
    )


def test_a_family_of_two_sources_appears_once_with_all_its_samples() -> None:
    one = '# TYPE a counter\n# HELP a Ours.\na{from="one"} 1\n'
    two = '# TYPE a counter\n# HELP a Theirs.\na{from="two"} 2\n'
    assert merged(one, "b 1\n", two) == (
        '# TYPE a counter\n# HELP a Ours.\na{from="one"} 1\na{from="two"} 2\nb 1\n'
    )


def test_the_same_series_is_taken_from_the_later_source() -> None:
    assert merged("m 1\n", "m 2\n") == "m 2\n"
    assert merged('m{a="1",b="2"} 1\nm{a="x"} 7\n', 'm{b="2", a="1"} 2\n') == (
        'm{a="x"} 7\nm{b="2", a="1"} 2\n'
    )


def test_braces_and_commas_in_a_label_do_not_confuse_series() -> None:
    assert merged('m{a="}{,"} 1\nm{a="}"} 1\n', 'm{a="}{,"} 2\n') == 'm{a="}"} 1\nm{a="}{,"} 2\n'


def test_a_histogram_is_replaced_as_a_whole() -> None:
    one = '# TYPE h histogram\nh_bucket{x="1",le="1"} 1\nh_bucket{x="1",le="+Inf"} 1\nh_sum{x="1"} 1\n'
    other = 'h_bucket{x="2",le="1"} 4\n'
    two = '# TYPE h histogram\nh_bucket{x="1",le="5"} 2\nh_bucket{x="1",le="+Inf"} 2\nh_sum{x="1"} 9\n'
    assert merged(one + other, two) == f"# TYPE h histogram\n{other}" + two.partition("\n")[2]


@pytest.mark.parametrize(
    ("one", "two", "both"),
    [
        ("counter", "counter", "counter"),
        ("", "counter", "counter"),
        ("gauge", "untyped", "gauge"),
        ("counter", "gauge", "untyped"),
    ],
)
def test_simple_types_that_differ_become_what_both_can_be(one: str, two: str, both: str) -> None:
    texts = [f'# TYPE m {kind}\nm{{k="{n}"}} 1\n' if kind else "m 1\n" for n, kind in enumerate((one, two))]
    assert merged(*texts).startswith(f"# TYPE m {both}\n")


def test_a_type_that_cannot_be_joined_is_left_out_of_the_later_source_and_said() -> None:
    found = merge([read("# TYPE m histogram\nm_sum 1\n"), read("# TYPE m gauge\nm 1\n# TYPE n gauge\nn 1\n")])
    assert write(found.families) == "# TYPE m histogram\nm_sum 1\n# TYPE n gauge\nn 1\n"
    assert found.conflicts == {1: ["m has two types, gauge and histogram"]}


def test_what_was_joined_can_be_read_again() -> None:
    text = merged('# TYPE a summary\na{quantile="1"} 1\na_sum 1\n', '# TYPE a summary\na_sum{b="c"} 1\n')
    assert write(read(text)) == text
