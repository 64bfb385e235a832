"""What systemd asks of the process that holds: to stop, to make room for the next one, or nothing.

Without asyncio, which the daemon's own signals need (runtime/signals.py).
"""

import os
import select
import signal


class Stop:
    """SIGTERM and SIGINT ask once; what is under way is finished, the rest is bounded. SIGQUIT, which systemd
    sends for a restart, asks to go and leave the rules to the next process. SIGHUP and SIGUSR1, as who
    rotates logs sends them, change nothing: there is no file of ours to open again.
    """

    def __init__(self) -> None:
        self.asked = self.stays = False
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._heard)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._ignored)

    def _heard(self, number: int, _frame: object) -> None:
        self.stays = number == signal.SIGQUIT
        self.asked = True

    def _ignored(self, number: int, _frame: object) -> None:
        """A handler and not SIG_IGN, which children would inherit."""

    def wait(self, seconds: float) -> None:
        if not self.asked and select.select([self._reader], [], [], seconds)[0]:
            os.read(self._reader, 64)
