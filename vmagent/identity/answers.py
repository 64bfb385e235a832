"""What a CA can answer, and what becomes of it: one row for each status of gRPC.

Owns:      the decision, by status alone, never by text.
Does not:  know how long to wait (rotation.py), or the sentences (ca_client.py).
Where it comes from: istiod answers UNAUTHENTICATED where nobody vouches for the caller, INVALID_ARGUMENT for
a CSR or a lifetime that it does not take, INTERNAL while it is not ready or fails; what lies in between (load
balancers, other CAs) uses the rest. Istio's own agent repeats RESOURCE_EXHAUSTED, ABORTED, INTERNAL and
UNAVAILABLE within seconds and hands on everything else.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from grpc import StatusCode


class Reaction(Enum):
    RETRY = "it may pass: soon again, up to 10 s apart"
    NEW_TOKEN = "it does not take us: again when token, root or certificate change, else up to 30 s apart"
    GIVE_UP = "the same question has the same answer: an edit is needed, asked again up to 30 s apart"


REACTIONS: Final[Mapping[StatusCode, Reaction]] = {
    StatusCode.CANCELLED: Reaction.RETRY,
    StatusCode.UNKNOWN: Reaction.RETRY,
    StatusCode.INVALID_ARGUMENT: Reaction.GIVE_UP,
    StatusCode.DEADLINE_EXCEEDED: Reaction.RETRY,
    StatusCode.NOT_FOUND: Reaction.GIVE_UP,
    StatusCode.ALREADY_EXISTS: Reaction.RETRY,
    StatusCode.PERMISSION_DENIED: Reaction.NEW_TOKEN,
    StatusCode.UNAUTHENTICATED: Reaction.NEW_TOKEN,
    StatusCode.RESOURCE_EXHAUSTED: Reaction.RETRY,
    StatusCode.FAILED_PRECONDITION: Reaction.GIVE_UP,
    StatusCode.ABORTED: Reaction.RETRY,
    StatusCode.OUT_OF_RANGE: Reaction.GIVE_UP,
    StatusCode.UNIMPLEMENTED: Reaction.GIVE_UP,
    StatusCode.INTERNAL: Reaction.RETRY,
    StatusCode.UNAVAILABLE: Reaction.RETRY,
    StatusCode.DATA_LOSS: Reaction.RETRY,
    StatusCode.OK: Reaction.RETRY,
}
"""OK is there for a chain that does not hold: that is judged elsewhere (judgement.py)."""
