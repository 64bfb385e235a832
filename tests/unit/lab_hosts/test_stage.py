import os
from pathlib import Path

import pytest

from lab.setup import bytecode, stage


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(stage, "AGENT", tmp_path / "agent")
    source = tmp_path / "package"
    (source / "part").mkdir(parents=True)
    for name in ("__init__.py", "part/__init__.py", "part/one.py", "part/two.py"):
        (source / name).write_text(f"NAME = {name!r}\n")
    (source / "wire.proto").write_text("not shipped\n")
    return source, tmp_path / "agent" / "package"


def test_what_is_staged_is_compiled_and_readable_by_everybody(trees: tuple[Path, Path]) -> None:
    source, target = trees
    assert stage.copy_package(source, target) == 4
    assert (target / "part" / "one.py").stat().st_mode & 0o777 == 0o644
    assert bytecode.byte_code(target / "part" / "one.py").exists()
    assert not (target / "wire.proto").exists()


def test_only_what_changed_is_touched(trees: tuple[Path, Path]) -> None:
    source, target = trees
    stage.copy_package(source, target)
    assert stage.copy_package(source, target) == 0
    one = source / "part" / "one.py"
    one.write_text("NAME = 'new'\n")
    os.utime(one, ns=(1, 1))
    assert stage.copy_package(source, target) == 1
    assert (target / "part" / "one.py").read_text() == "NAME = 'new'\n"


def test_what_is_gone_from_the_clone_goes_from_the_stage(trees: tuple[Path, Path]) -> None:
    source, target = trees
    stage.copy_package(source, target)
    (source / "part" / "two.py").unlink()
    assert stage.copy_package(source, target) == 1
    assert not (target / "part" / "two.py").exists()
    assert not bytecode.byte_code(target / "part" / "two.py").exists()
    for name in ("one.py", "__init__.py"):
        (source / "part" / name).unlink()
    stage.copy_package(source, target)
    assert not (target / "part").exists()
