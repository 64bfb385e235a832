"""When to renew and when to try again, as functions of instants. Sleeps and knocks nowhere (keeper.py)."""

from typing import Final

from vmagent.runtime.backoff import Backoff

EARLIEST: Final = 0.1
"""Never renew in the first tenth of a certificate's life, whatever ratio is configured: a CA is not a loop's
body.
"""

AWAY: Final = Backoff(first=0.2, most=10.0)
"""Between attempts while the CA cannot be reached: a refused connection costs nobody anything, and the VM
joins soon after the CA is back.
"""

SAID_NO: Final = Backoff(first=1.0, most=30.0)
"""Between attempts after a refusal or with files that cannot work: only an edit helps. One of ours wakes us
at once; one at the CA is noticed within this.
"""

LAST_STEPS: Final = 8
"""While a certificate is still good, wait at most this fraction of what is left of it, so that attempts grow
denser towards the end instead of sleeping through it ...
"""

SHORTEST: Final = 0.2
"""... but never less than this many seconds."""


def renew_at(*, received: float, expires: float, ratio: float, jitter: float, roll: float) -> float:
    """The instant to begin renewing, in the same seconds as ``received`` and ``expires``.

    ``received`` is when the certificate came, not its NotBefore, which CAs set back against clock skew
    (istiod: two minutes). ``roll`` is drawn from [0, 1): a fleet that booted together must not knock on the
    CA together.
    """
    life = max(0.0, expires - received)
    left = min(1.0 - EARLIEST, max(0.0, ratio + jitter * (2 * roll - 1)))
    return expires - life * left


def retry_in(step: float, *, now: float, expires: float | None) -> float:
    """Seconds until the next attempt; ``step`` is what the backoff says, ``expires`` the end of the
    certificate we have.
    """
    if expires is None or expires <= now:
        return step
    return min(step, max(SHORTEST, (expires - now) / LAST_STEPS))
