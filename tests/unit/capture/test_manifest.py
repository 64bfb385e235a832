import json
import logging
from pathlib import Path

import pytest

from vmagent.capture import manifest
from vmagent.capture.flavour import Tools
from vmagent.capture.manifest import Manifest, Written
from vmagent.errors import Unavailable

SOME = Manifest(
    state="applied",
    tools=Tools(flavour="nft", iptables="/usr/sbin/iptables-nft", ip6tables="", version="iptables v1.8.9"),
    families={
        "ipv4": Written(
            plan="*nat\nCOMMIT\n",
            chains={"nat": ("ISTIO_OUTPUT",)},
            rules={"nat": {"OUTPUT": ("-j ISTIO_OUTPUT",), "ISTIO_OUTPUT": ()}},
            found={"nat": ("POSTROUTING",)},
        )
    },
    passthrough6=False,
    hold="nft",
    outbound_port=15001,
)


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    manifest.store(tmp_path / "capture", SOME)
    assert manifest.load(tmp_path / "capture") == SOME
    assert (tmp_path / "capture" / "manifest.json").stat().st_mode & 0o777 == 0o644


def test_no_manifest_means_not_captured(tmp_path: Path) -> None:
    assert manifest.load(tmp_path) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"version": 99}', '{"version": 1, "tools": 3}'])
def test_a_damaged_manifest_counts_as_none_and_is_not_silent(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "manifest.json").write_text(damage)
    with caplog.at_level(logging.WARNING):
        assert manifest.load(tmp_path) is None
    assert "recognised by their comments" in caplog.text


def test_every_truncation_counts_as_none(tmp_path: Path) -> None:
    whole = json.dumps(manifest.encode(SOME))
    for end in range(len(whole)):
        (tmp_path / "manifest.json").write_text(whole[:end])
        assert manifest.load(tmp_path) is None


def test_forgetting_twice_is_forgetting_once(tmp_path: Path) -> None:
    manifest.store(tmp_path, SOME)
    manifest.forget(tmp_path)
    manifest.forget(tmp_path)
    assert manifest.load(tmp_path) is None


@pytest.mark.effects
def test_a_disk_that_takes_no_more_is_told_with_the_file_and_leaves_what_was_there(tmp_path: Path) -> None:
    manifest.store(tmp_path, SOME)
    (tmp_path / "a file").write_text("")
    with pytest.raises(Unavailable, match=r"manifest\.json cannot be written: Not a directory"):
        manifest.store(tmp_path / "a file" / "capture", SOME)
    assert manifest.load(tmp_path) == SOME
