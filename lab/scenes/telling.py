"""Waits until the proxies have been told of a change and have taken it, as /debug/syncz has it.

Surprise:  a change that says nothing to anybody cannot be told from one that is not built yet; it is given up
           on after a while. What must be seen is asked for until it is seen in any case (looking.py): this
           only keeps requests out of the moment between two states, in which one may go astray for seconds.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from lab.controlplane.type_urls import WILDCARD
from lab.hosts.host import Host

SYNCZ: Final = "http://localhost:15014/debug/syncz"
QUIET: Final = 0.5
"""Seconds without a push after which there will be none: the debounce is a fraction of it."""

PATIENCE: Final = 5.0
POLL: Final = 0.05

Watches = list[dict[str, dict[str, Any]]]


@contextmanager
def told(istiod: Host) -> Iterator[None]:
    before = accepted(watches(istiod))
    yield
    began = time.monotonic()
    while time.monotonic() < began + PATIENCE:
        now = watches(istiod)
        changed = accepted(now) != before or time.monotonic() > began + QUIET
        # Of endpoints that no cluster asks for any more Envoy does not say that it has them.
        if changed and not any(types[url]["unanswered"] for types in now for url in WILDCARD if url in types):
            return
        time.sleep(POLL)


def watches(istiod: Host) -> Watches:
    """Of each connected proxy, by type of resource."""
    printed = istiod.run(["curl", "-sS", "--max-time", "5", SYNCZ]).stdout
    return [connection["types"] for connection in json.loads(printed)]


def accepted(connections: Watches) -> list[object]:
    return [watch["accepted"] for watch in _each(connections)]


def _each(connections: Watches) -> Iterator[dict[str, Any]]:
    for types in connections:
        yield from types.values()
