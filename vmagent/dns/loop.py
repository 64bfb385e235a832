"""A small event loop for one thread: readiness of sockets, timers, and a way to be woken from another thread.

Owns:      epoll and the order of things within a turn.
Does not:  know DNS. Nothing here waits except ``turn``.

Not asyncio: its datagram endpoint costs five times the CPU per query, and this loop must go on beside a
relay that keeps asyncio busy.
"""

import heapq
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Final

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
GONE: Final = select.EPOLLERR | select.EPOLLHUP
"""Reported whether asked for or not."""
_EVENTS_PER_TURN: Final = 256
_STALE_TIMERS: Final = 1024
"""Cancelled timers that may lie around; beyond, and beyond the live ones, they are swept out."""

Handler = Callable[[int], None]


class Timer:
    __slots__ = ("_call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self._call = None

    @property
    def live(self) -> bool:
        return self._call is not None

    def fire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()

    def __lt__(self, other: "Timer") -> bool:
        return self.when < other.when


class Loop:
    """Every method except ``wake`` belongs to the thread that calls ``turn``."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.now = monotonic
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[Timer] = []
        self._timers_after_sweep = 0
        self._closing: list[socket.socket] = []
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._bell_in_use = threading.Lock()
        self._closed = False
        self._epoll.register(self._bell, READ)
        self._handlers[self._bell] = self._heard

    def watch(self, sock: socket.socket, events: int, handler: Handler) -> None:
        """``handler`` gets the events that happened. It may be called without cause, so its socket never
        blocks.
        """
        self._handlers[sock.fileno()] = handler
        self._epoll.register(sock, events)

    def change(self, sock: socket.socket, events: int) -> None:
        """0: no events but errors, until changed again."""
        self._epoll.modify(sock, events)

    def forget(self, sock: socket.socket) -> None:
        """Also closes it, at the end of the turn: until then nobody gets the same number again, so no event
        of this turn can reach a stranger.
        """
        if self._handlers.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock)
            self._closing.append(sock)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(when, call)
        if len(self._timers) > 2 * self._timers_after_sweep + _STALE_TIMERS:
            self._timers = [other for other in self._timers if other.live]
            heapq.heapify(self._timers)
            self._timers_after_sweep = len(self._timers)
        heapq.heappush(self._timers, timer)
        return timer

    def wake(self) -> None:
        """From any thread, also after ``close``: end the wait of the present turn."""
        with self._bell_in_use:
            if not self._closed:
                os.eventfd_write(self._bell, 1)

    def turn(self) -> None:
        """Wait for something to happen, and handle it."""
        for number, events in self._epoll.poll(self._wait(), _EVENTS_PER_TURN):
            handler = self._handlers.get(number)
            if handler is not None:
                handler(events)
        now = self.now()
        while self._timers and (self._timers[0].when <= now or not self._timers[0].live):
            heapq.heappop(self._timers).fire()
        self._bury()

    def close(self) -> None:
        """The sockets were forgotten before."""
        self._bury()
        self._epoll.close()
        with self._bell_in_use:
            self._closed = True
            os.close(self._bell)

    def _wait(self) -> float:
        while self._timers and not self._timers[0].live:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].when - self.now()) if self._timers else -1.0

    def _heard(self, events: int) -> None:
        os.eventfd_read(self._bell)

    def _bury(self) -> None:
        for sock in self._closing:
            sock.close()
        self._closing.clear()
