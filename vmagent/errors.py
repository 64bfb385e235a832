"""The three things that can go wrong outside the agent, sorted by what one does about them.

Anything else that escapes is our bug: a traceback and exit status 70.
"""

import os


class VmagentError(Exception):
    """Something outside the agent is wrong. ``hint`` says what a person can do about it."""

    exit_code = os.EX_SOFTWARE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Misconfigured(VmagentError):
    """A person must edit something: names file, key, value and remedy."""

    exit_code = os.EX_CONFIG


class Unavailable(VmagentError):
    """A peer may come back. Retried with backoff, forever."""

    exit_code = os.EX_TEMPFAIL


class Refused(VmagentError):
    """A peer looked at us and said no. Retried slowly, and reported as not ready."""

    exit_code = os.EX_NOPERM
