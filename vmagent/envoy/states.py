"""The life of one Envoy as a table.

Owns:      every state, every signal, every transition. What is not in the table is a bug of the caller.
Does not:  act (supervisor.py). There is no state for giving up: an Envoy that does not start is tried again,
           more and more slowly, for as long as the agent lives.
"""

from enum import Enum
from typing import Final


class State(Enum):
    STOPPED = "stopped"
    STARTING = "starting"
    """Runs, and has never been ready."""
    READY = "ready"
    UNREADY = "unready"
    """Was ready; runs, but does not answer or does not take traffic."""
    BACKOFF = "backoff"
    DRAINING = "draining"
    ENDED = "ended"
    """For good: the agent is leaving."""


class Signal(Enum):
    SPAWNED = "spawned"
    NOT_SPAWNED = "not spawned"
    """The binary is missing, a port is taken, a file cannot be written."""
    BECAME_READY = "became ready"
    STOPPED_SERVING = "stopped serving"
    EXITED = "exited"
    RETRY_DUE = "retry due"
    STOP_ASKED = "stop asked"
    LEFT = "left"
    """For the next agent, as it is."""


_S, _E = State, Signal
NEXT: Final = {
    _S.STOPPED: {_E.SPAWNED: _S.STARTING, _E.NOT_SPAWNED: _S.BACKOFF, _E.STOP_ASKED: _S.ENDED},
    _S.STARTING: {_E.BECAME_READY: _S.READY, _E.EXITED: _S.BACKOFF, _E.STOP_ASKED: _S.DRAINING},
    _S.READY: {_E.STOPPED_SERVING: _S.UNREADY, _E.EXITED: _S.BACKOFF, _E.STOP_ASKED: _S.DRAINING},
    _S.UNREADY: {_E.BECAME_READY: _S.READY, _E.EXITED: _S.BACKOFF, _E.STOP_ASKED: _S.DRAINING},
    _S.BACKOFF: {_E.RETRY_DUE: _S.STOPPED, _E.STOP_ASKED: _S.ENDED},
    _S.DRAINING: {_E.EXITED: _S.ENDED, _E.STOP_ASKED: _S.DRAINING},
    _S.ENDED: {_E.STOP_ASKED: _S.ENDED},
}
for _moves in NEXT.values():
    _moves[_E.LEFT] = _S.ENDED


def after(state: State, signal: Signal) -> State:
    return NEXT[state][signal]
