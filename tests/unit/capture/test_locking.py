from pathlib import Path

import pytest

from vmagent.capture import locking
from vmagent.errors import Unavailable


def test_waiting_for_a_lock_ends_and_says_which(tmp_path: Path) -> None:
    path = tmp_path / "xtables.lock"
    with locking.exclusive(path, wait=0):
        with pytest.raises(Unavailable, match=r"xtables\.lock for 0 s"), locking.exclusive(path, wait=0):
            raise AssertionError("two holders")


def test_a_lock_that_was_given_back_can_be_taken(tmp_path: Path) -> None:
    for _ in range(2):
        with locking.exclusive(tmp_path / "lock", wait=0):
            pass
