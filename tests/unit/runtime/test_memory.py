"""Memory that was taken is given back, in a process of its own: the C library's habits are the process's."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

PROGRAM = """
import sys
from pathlib import Path
from vmagent.runtime import memory


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


memory.tune()
begin = resident()
kept = []
for _ in range(5):
    chunks = [bytes([number % 251]) * 16_384 for number in range(2_000)]
    kept.append(bytes(20_000))  # what lies above keeps the heap from shrinking by itself
    whole = b"".join(chunks)
    del chunks, whole
after = resident()
memory.give_back()
print(after - begin, resident() - begin)
"""


@pytest.mark.effects
def test_what_thirty_megabytes_left_in_the_heap_is_kept_for_the_next_and_given_back_on_request() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    kept, left = map(int, done.stdout.split())
    assert kept > 20_000_000
    assert left < 5_000_000
