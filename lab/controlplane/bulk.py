"""Many objects at once that are there to stay: Python's cycle collector need not look at each of them again
and again.

Surprise:  it would: a collection of everything takes half a second in a mesh of ten thousand services, in
           which nothing else happens, and comes several times while the mesh is read.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MANY: Final = 1000
"""Resources that are worth it."""


@contextmanager
def in_bulk(resources: int) -> Iterator[None]:
    """What is made inside is never looked at again; it goes, as nearly everything does, when nobody holds
    it."""
    if resources < MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
