"""One entry more over the operator's override, of which not a word becomes another one."""

from typing import Any

import pytest
import yaml

from vmagent.envoy.overlay import with_metadata
from vmagent.errors import Misconfigured

WHERE = "ISTIO_BOOTSTRAP_OVERRIDE: /etc/over.yaml"


def laid(text: str) -> str:
    return with_metadata(text, WHERE, "EPOCH", "3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"node": {"metadata": {"EPOCH": "3"}}}),
        ("# nothing yet\n", {"node": {"metadata": {"EPOCH": "3"}}}),
        ("---\na: 1\nnode:\n", {"a": 1, "node": {"metadata": {"EPOCH": "3"}}}),
        ("node: {id: x, metadata: }", {"node": {"id": "x", "metadata": {"EPOCH": "3"}}}),
        (
            '{\n\t"node": {\n\t\t"metadata": {"A": [1], "EPOCH": 9}\n\t}\n}\n',
            {"node": {"metadata": {"A": [1], "EPOCH": "3"}}},
        ),
        (
            "node: {id: x}\nnode: {cluster: y}\n",  # Envoy takes the last
            {"node": {"cluster": "y", "metadata": {"EPOCH": "3"}}},
        ),
        (
            "a: &shared {b: c}\nnode: {metadata: *shared}\n",
            {"a": {"b": "c"}, "node": {"metadata": {"b": "c", "EPOCH": "3"}}},
        ),
    ],
)
def test_the_entry_stands_beside_whatever_was_there(text: str, expected: dict[str, Any]) -> None:
    assert yaml.safe_load(laid(text)) == expected


@pytest.mark.parametrize(
    "word",
    ["0777", "1:30", "2026-01-01", "on", "1_000", "~", '"on"', "'7'", "!ignore {b: c}", '"\\t"', "é"],
)
def test_every_word_stays_as_it_was_written(word: str) -> None:
    lines = laid(f"first: {word}\nsecond:\n- {word}\n").splitlines()
    assert lines[:3] == [f"first: {word}", "second:", f"- {word}"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- a\n", f"{WHERE} is no mapping"),
        ("7", f"{WHERE} is no mapping"),
        ("node: 7\n", f"{WHERE}: node is no mapping"),
        ("node: !ignore {}\n", f"{WHERE}: node is no mapping"),
        ("node: {metadata: []}\n", f"{WHERE}: node: metadata is no mapping"),
        ("a: 1\nb: [\n", f"{WHERE}: line 3: not YAML (expected the node content, but found '<stream end>')"),
        ("a: 1\n---\na: 2\n", f"{WHERE}: line 2: not YAML (but found another document)"),
        ("a: \x01\n", f"{WHERE}: not YAML (a character that YAML does not allow)"),
        ("[" * 500, f"{WHERE}: too deeply nested"),
    ],
)
def test_what_nothing_can_be_laid_over_is_told_with_the_file(text: str, why: str) -> None:
    with pytest.raises(Misconfigured) as told:
        laid(text)
    assert str(told.value) == why
    assert "YAML or JSON" in told.value.hint
