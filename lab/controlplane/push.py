"""When the world has changed and has been quiet for a moment, everybody is told.

Surprise:  what "everybody is told" means is each stream's own business: one for which nothing is different
           stays silent (session.py).
"""

import asyncio
from typing import Final

from lab.controlplane.ads import AdsService
from lab.controlplane.store import Store

LONGEST_DELAY: Final = 10
"""So many times the debounce a push waits at most, however busy the world is (istiod: 100 ms and at most 10
s)."""


async def publish(store: Store, ads: AdsService, debounce: float) -> None:
    """Endless. ``debounce`` is in seconds."""
    while True:
        await store.changed.wait()
        for _ in range(LONGEST_DELAY):
            if not store.changed.is_set():
                break
            store.changed.clear()
            await asyncio.sleep(debounce)
        ads.refresh()
