"""What helps at the terminal is in the package, where the shells and man look for it."""

import gzip
from pathlib import Path

import pytest

from tests.unit.shipped.test_completion import SCRIPTS
from tests.unit.shipped.test_man import PAGES, script

PLACES: dict[str, str] = script("packaging/completion/scripts.py").PLACES


@pytest.mark.parametrize("name", PAGES)
def test_a_manual_is_found_under_each_of_its_names(tree: Path, name: str) -> None:
    page = tree / "usr/share/man" / f"man{name[-1]}" / f"{name}.gz"
    assert b".SH NAME" in gzip.decompress(page.read_bytes()), (
        "a link of another name leads to the page itself"
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_shell_finds_its_completion(tree: Path, name: str) -> None:
    assert (tree / PLACES[name]).read_text() == SCRIPTS[name]
