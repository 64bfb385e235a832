"""What the C library does with memory that Python and gRPC no longer use. The only door to it.

Surprise:  by itself it hands nothing back from the middle of the heap: after a few pushes of 30 MB the agent
           would hold 300 MB for ever. Where the library is another one than glibc all of this does nothing.
"""

import ctypes
from collections.abc import Callable
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Names of mallopt(3)."""

LARGE: Final = 32 * 1024 * 1024
"""Bytes of a block that gets pages of its own, and gives them back when it is freed: the most that glibc
takes here. Smaller ones come from the heap, whose pages are there already: a fresh page costs more than
copying onto it.
"""

KEPT: Final = 512 * 1024 * 1024
"""Bytes of free heap that are kept for the next message of a burst, until ``give_back``."""


def tune() -> None:
    """Once, at start. GLIBC_TUNABLES=glibc.malloc.hugetlb=1 belongs to it and can only be said before: the
    unit does.
    """
    if setting := _function("mallopt"):
        setting(_MMAP_THRESHOLD, LARGE)
        setting(_TRIM_THRESHOLD, KEPT)


def give_back() -> None:
    """All that is free goes back to the system. Takes about a millisecond."""
    if trim := _function("malloc_trim"):
        trim(0)


def _function(name: str) -> Callable[..., int] | None:
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
