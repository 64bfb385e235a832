"""Whoever builds a commit gets the same bytes, wherever he builds it."""

import os
import subprocess
from pathlib import Path

from tests.conftest import ROOT
from tests.package.conftest import BUILD


def test_two_builds_in_two_places_are_equal(tmp_path: Path) -> None:
    """Uncompressed, to save a minute: xz itself makes the same of the same."""
    environment = {**os.environ, "COMPRESSION": "none", "SOURCE_DATE_EPOCH": "1700000000"}
    here = _build(ROOT, environment).read_bytes()
    clone = tmp_path / "elsewhere"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, files):
        if (ROOT / name).is_file():
            target = clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod((ROOT / name).stat().st_mode)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    (clone / ".build").mkdir()
    subprocess.run([".venv/bin/python", "-m", "lab.setup.stage"], cwd=clone, check=True)
    there = _build(clone, environment).read_bytes()
    assert here == there


def _build(root: Path, environment: dict[str, str]) -> Path:
    script = root / BUILD.relative_to(ROOT)
    told = subprocess.run([script], check=True, capture_output=True, text=True, env=environment).stdout
    return root / told.split()[0]
