"""What is held lies in files without a name, and its names and bytes are the same as before."""

import os
from pathlib import Path

import pytest

from vmagent.xds.held import Held
from vmagent.xds.resources import Blob, Piece, Resources
from vmagent.xds.shelf import MOST, SLACK, SMALL, Shelf
from vmagent.xds.wanted import Wanted

ALL = Wanted(everything=True)


def response(*names: str, size: int, mark: str = "x") -> Resources:
    """As a codec makes them: parts of one blob, with something around each."""
    data, pieces = b"", {}
    places = {}
    for name in names:
        data += b"--"
        places[name] = len(data)
        data += (mark * size).encode()
    blob = Blob(data)
    for name, start in places.items():
        pieces[name] = Piece(blob, start, size, version=mark)
    return Resources.of(pieces)


def absorbed(held: Held, resources: Resources) -> None:
    held.absorb(resources, whole=False, wanted=ALL)
    held.accept(0, held.generation)


def blobs(held: Held) -> list[Blob]:
    return list({id(piece.blob): piece.blob for piece in held.all_pieces()}.values())


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_large_response_goes_to_a_file_that_nobody_else_can_open(tmp_path: Path) -> None:
    held, before = Held(), open_files()
    absorbed(held, response("a", "b", size=SMALL))
    Shelf(tmp_path).tidy([held])
    assert not any(blob.in_memory for blob in blobs(held))
    assert held.pieces["b"].value == b"x" * SMALL
    assert not list(tmp_path.iterdir())
    assert open_files() == before + 1
    mode = os.fstat(_handle(blobs(held)[0])).st_mode
    assert mode & 0o077 == 0


def _handle(blob: Blob) -> int:
    handle = blob._handle
    assert handle is not None
    return handle


def test_the_file_is_closed_when_its_last_resource_is_gone(tmp_path: Path) -> None:
    held, before = Held(), open_files()
    absorbed(held, response("a", "b", size=SMALL))
    Shelf(tmp_path).tidy([held])
    absorbed(held, response("a", size=10))
    assert open_files() == before + 1
    held.absorb(Resources.of({}), ("a", "b"), whole=False, wanted=ALL)
    held.accept(0, held.generation)
    assert open_files() == before


def test_a_small_response_stays_in_memory(tmp_path: Path) -> None:
    held = Held()
    absorbed(held, response("a", size=100))
    Shelf(tmp_path).tidy([held])
    assert all(blob.in_memory for blob in blobs(held))


def test_changes_one_by_one_do_not_pile_up_and_leave_the_large_rest_alone(tmp_path: Path) -> None:
    held, shelf = Held(), Shelf(tmp_path)
    absorbed(held, response(*(f"big-{number}" for number in range(100)), size=SMALL // 10))
    shelf.tidy([held])
    [large] = blobs(held)
    for number in range(10 * MOST):
        absorbed(held, response(f"small-{number % 20}", size=100, mark=chr(65 + number % 26)))
        shelf.tidy([held])
        assert len(blobs(held)) <= MOST + 2
    assert large in blobs(held)
    for number in range(20):
        last = max(each for each in range(10 * MOST) if each % 20 == number)
        piece = held.pieces[f"small-{number}"]
        assert (piece.value, piece.version) == (100 * chr(65 + last % 26).encode(), chr(65 + last % 26))


def test_what_is_kept_for_nothing_is_bounded(tmp_path: Path) -> None:
    held, shelf = Held(), Shelf(tmp_path)
    names = [f"r{number}" for number in range(40)]
    for mark in "abcdefgh":
        absorbed(held, response(*names, size=SMALL // 4, mark=mark))
        absorbed(held, response(*names[1:], size=SMALL // 4, mark=mark.upper()))
        shelf.tidy([held])
        used = sum(piece.length for piece in held.all_pieces())
        assert sum(blob.size for blob in blobs(held)) <= 2 * used + SLACK
    assert held.pieces["r0"].value[:1] == b"h"
    assert held.pieces["r39"].value == b"H" * (SMALL // 4)


def test_the_last_good_version_is_put_away_and_found_too(tmp_path: Path) -> None:
    held, shelf = Held(), Shelf(tmp_path)
    absorbed(held, response("a", size=SMALL, mark="g"))
    held.absorb(response("a", size=SMALL, mark="b"), whole=False, wanted=ALL)
    shelf.tidy([held])
    assert held.good["a"].value == b"g" * SMALL
    assert held.pieces["a"].value == b"b" * SMALL


def test_a_disk_that_takes_nothing_costs_memory_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held, shelf = Held(), Shelf(tmp_path / "gone")
    absorbed(held, response("a", "b", size=SMALL))
    for _ in range(3):
        shelf.tidy([held])
    assert all(blob.in_memory for blob in blobs(held))
    assert held.pieces["a"].value == b"x" * SMALL
    [record] = caplog.records
    assert "No such file or directory" in record.getMessage()
    (tmp_path / "gone").mkdir()
    shelf.tidy([held])
    assert not any(blob.in_memory for blob in blobs(held))


def test_what_waits_for_a_slow_envoy_goes_to_the_file_with_what_is_held(tmp_path: Path) -> None:
    held = Held()
    waiting = response("a", size=SMALL)
    raw = waiting.pieces["a"].blob
    absorbed(held, waiting)
    Shelf(tmp_path).tidy([held])
    assert not raw.in_memory
    assert bytes(raw) == b"--" + b"x" * SMALL
    assert waiting["a"] == b"x" * SMALL
