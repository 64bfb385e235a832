import stat
from pathlib import Path

import pytest

from tests.unit.xds.lastgood.kept import OWNER, kept, plain
from vmagent.xds.lastgood import disk
from vmagent.xds.lastgood.content import Damaged
from vmagent.xds.lastgood.disk import Disk


@pytest.fixture
def place(tmp_path: Path) -> Disk:
    return Disk(tmp_path, OWNER)


def test_there_is_nothing_at_first(place: Disk) -> None:
    assert place.load() is None


def test_it_is_private_and_as_old_as_the_last_moment_the_control_plane_was_there(place: Disk) -> None:
    assert place.save(kept(), 1000.0)
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    place.confirm(2000.0)
    found = place.load()
    assert found is not None
    assert (plain(found.kept), found.seen) == (plain(kept()), 2000.0)


def test_the_same_again_is_not_written_but_counts_as_newer(place: Disk) -> None:
    place.save(kept(), 1000.0)
    before = place.path.stat().st_ino
    assert not place.save(kept(), 3000.0)
    after = place.path.stat()
    assert (after.st_ino, after.st_mtime) == (before, 3000.0)


def test_one_that_somebody_removed_is_written_again(place: Disk) -> None:
    place.save(kept(), 1000.0)
    place.path.unlink()
    assert place.save(kept(), 1000.0)


def test_a_damaged_one_is_set_aside_and_the_one_before_it_makes_room(place: Disk) -> None:
    for damage in (b"first", b"second"):
        place.path.write_bytes(damage)
        with pytest.raises(Damaged):
            place.load()
        assert not place.path.exists()
        assert place.aside.read_bytes() == damage
    assert place.load() is None


@pytest.mark.parametrize("what", sorted(OWNER))
def test_one_of_another_machine_is_set_aside_and_says_whose_it_is(place: Disk, what: str) -> None:
    Disk(place.path.parent, {}).save(kept(**{what: "somebody"}), 1000.0)
    with pytest.raises(Damaged, match=f"of another machine: {what} somebody, here {OWNER[what]}"):
        place.load()
    assert place.aside.exists()


def test_what_a_crash_left_half_written_goes_at_the_next_start(place: Disk) -> None:
    left = place.path.with_name(".last-known-good.k3j2")
    left.touch()
    place.sweep()
    assert not left.exists()


def test_what_is_too_large_is_not_kept(place: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LARGEST", 3)
    with pytest.raises(OSError, match="larger than"):
        place.save(kept(), 1000.0)
    assert list(place.path.parent.iterdir()) == []


def test_forgetting_leaves_nothing(place: Disk) -> None:
    place.save(kept(), 1000.0)
    place.aside.touch()
    place.forget()
    assert list(place.path.parent.iterdir()) == []
