"""The newest snapshot of each proxy, and the next one made out of it.

Owns:      how many are kept, and that one is made at a time.
Does not:  change what a snapshot says: it is what snapshot.build would say.
"""

import threading
from collections import OrderedDict
from typing import Final

from lab.controlplane.bulk import in_bulk
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.snapshot.incremental import Built, again, first

MOST_SERVICES: Final = 200_000
"""Services of all kept snapshots together, some 5 KB each. Beyond that the proxy that was built for longest
ago starts over."""

_Who = tuple[str, tuple[str, ...]]


class Snapshots:
    def __init__(self) -> None:
        self._built: OrderedDict[_Who, Built] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def of(self, world: World, proxy: Proxy, mesh: Mesh) -> Snapshot:
        with self._one_at_a_time:
            who = (proxy.name, proxy.ips)
            last = self._built.pop(who, None)
            if last is None or last.view.proxy != proxy:
                with in_bulk(len(world.resources)):
                    built = first(world, proxy, mesh)
            else:
                built = again(last, world, mesh)
            self._built[who] = built
            self._forget()
            return built.snapshot

    def _forget(self) -> None:
        while len(self._built) > 1 and sum(map(_weight, self._built.values())) > MOST_SERVICES:
            self._built.popitem(last=False)


def _weight(built: Built) -> int:
    return len(built.view.listened)
