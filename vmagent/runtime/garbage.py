"""When Python looks for garbage: not in what stays for good.

Surprise:  it goes through all objects the more often the more are made. A start makes nothing but modules,
           and a sixth of its time went into that. Each look in the life that follows would go through them
           again, perhaps in the middle of a push.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def not_in_here() -> Iterator[None]:
    """For imports. What there is at the end of the block is never looked at again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
