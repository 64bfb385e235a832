"""The tools here are real executables in a directory of their own: detection asks them for their version
only.
"""

from pathlib import Path

import pytest

from vmagent.capture import flavour
from vmagent.errors import Misconfigured

pytestmark = pytest.mark.effects


def tool(path: Path, version: str) -> None:
    path.write_text(f'#!/bin/sh\n[ "$*" = --version ] || exit 9\necho "{path.name} {version}"\n')
    path.chmod(0o755)


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """iptables → alternatives/iptables → iptables-nft, as dpkg lays it out."""
    (tmp_path / "alternatives").mkdir()
    for family in ("iptables", "ip6tables"):
        tool(tmp_path / f"{family}-nft", "v1.8.9 (nf_tables)")
        tool(tmp_path / f"{family}-legacy", "v1.8.9 (legacy)")
        (tmp_path / family).symlink_to(tmp_path / "alternatives" / family)
        choose(tmp_path, family, "nft")
    return tmp_path


def choose(root: Path, family: str, kind: str) -> None:
    link = root / "alternatives" / family
    link.unlink(missing_ok=True)
    link.symlink_to(root / f"{family}-{kind}")


def test_the_flavour_is_what_iptables_says_and_the_path_is_the_one_that_keeps_it(debian: Path) -> None:
    tools = flavour.detect(search=str(debian))
    assert (tools.flavour, tools.iptables) == ("nft", str(debian / "iptables-nft"))
    assert tools.ip6tables == str(debian / "ip6tables-nft")


def test_the_administrators_choice_is_followed(debian: Path) -> None:
    for family in ("iptables", "ip6tables"):
        choose(debian, family, "legacy")
    tools = flavour.detect(search=str(debian))
    assert (tools.flavour, tools.iptables) == ("legacy", str(debian / "iptables-legacy"))


def test_a_forced_flavour_beats_the_hosts(debian: Path) -> None:
    assert flavour.detect("legacy", search=str(debian)).iptables == str(debian / "iptables-legacy")


def test_before_1_8_there_was_only_legacy_and_no_word_for_it(tmp_path: Path) -> None:
    tool(tmp_path / "iptables", "v1.6.1")
    tools = flavour.detect(search=str(tmp_path))
    assert (tools.flavour, tools.iptables, tools.ip6tables) == ("legacy", str(tmp_path / "iptables"), "")


def test_an_ip6tables_of_the_other_flavour_is_not_used(debian: Path) -> None:
    choose(debian, "ip6tables", "legacy")
    assert flavour.detect(search=str(debian)).ip6tables == ""


def test_a_host_without_iptables_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        flavour.detect(search=str(tmp_path))
    assert "apt-get install iptables" in caught.value.hint
