"""What an HTTP route changes in the filters that its requests pass: faults that are injected, and CORS.

Does not:  know Envoy (snapshot/http_filters.py).
"""

from dataclasses import dataclass
from typing import Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.http_match import StringMatch, read_string

_GRPC: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
    *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
"""gRPC's statuses, each at its number."""
_PREFLIGHTS: Final = ("UNSPECIFIED", "FORWARD", "IGNORE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Percentages are of requests; ``None`` in place of a part: no such fault."""

    delay: float | None = None
    delay_percent: float | None = None
    abort: int | None = None
    """An HTTP status; None with ``abort_grpc``, a number of gRPC's."""
    abort_grpc: int | None = None
    abort_percent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    origins: tuple[StringMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: float | None = None
    credentials: bool | None = None
    forward_preflights: bool = True
    """Whether a preflight of another origin reaches the service."""


def read_fault(at: Field) -> Fault | None:
    if at.absent:
        return None
    delay, abort = at["delay"], at["abort"]
    if delay.absent and abort.absent:
        raise at.bad("HTTP fault injection must have an abort and/or a delay")
    grpc = abort["grpcStatus"]
    status = None if abort.absent or not grpc.absent else abort["httpStatus"].number(least=200, most=600)
    return Fault(
        delay=delay["fixedDelay"].duration(),
        delay_percent=None if delay.absent else delay["percentage"]["value"].fraction(most=100),
        abort=status,
        abort_grpc=None if grpc.absent else _GRPC.index(grpc.choice(_GRPC)),
        abort_percent=None if abort.absent else abort["percentage"]["value"].fraction(most=100),
    )


def read_cors(at: Field) -> Cors | None:
    if at.absent:
        return None
    credentials = at["allowCredentials"]
    origins = tuple(each for each in map(read_string, at["allowOrigins"]) if each is not None)
    old = tuple(StringMatch(how="exact", value=each) for each in at["allowOrigin"].texts())
    return Cors(
        origins=origins or old,
        methods=at["allowMethods"].texts(),
        headers=at["allowHeaders"].texts(),
        expose=at["exposeHeaders"].texts(),
        max_age=at["maxAge"].duration(),
        credentials=None if credentials.absent else credentials.flag(False),
        forward_preflights=at["unmatchedPreflights"].choice(_PREFLIGHTS, "UNSPECIFIED") != "IGNORE",
    )
