"""Plays a session as a transcript: events down the page, commands beside them."""

from collections.abc import Mapping

from vmagent.xds import types
from vmagent.xds.messages import (
    Command,
    DeltaAsk,
    DeltaRequest,
    EnvoyOpened,
    Event,
    Give,
    Update,
    UpstreamOpened,
)
from vmagent.xds.resources import Blob, Piece, Resources
from vmagent.xds.session import Session

CDS, EDS, LDS, RDS, NDS = types.CLUSTER, types.ENDPOINT, types.LISTENER, types.ROUTE, types.NAME_TABLE


def play(session: Session, *script: Event | list[Command]) -> None:
    """Events go in; each list is what must have come out by then."""
    seen: list[Command] = []
    for line in script:
        if isinstance(line, list):
            assert seen == line, f"\nexpected {line}\n     got {seen}"
            seen = []
        else:
            seen += session.on(line)
    assert seen == [], f"nobody asked about {seen}"


def names(*these: str) -> frozenset[str]:
    return frozenset(these)


# --- state of the world


def cds(version: str, nonce: str, **resources: bytes) -> Update:
    """Without the bytes it came as, so that what is made of it gets a nonce of our own: 1, 2, 3, …"""
    return Update(CDS, version, nonce, resources)


def eds(version: str, nonce: str, **resources: bytes) -> Update:
    return Update(EDS, version, nonce, resources)


def given(update: Update, nonce: str) -> Give:
    return Give(update.type_url, update.version, nonce, update.resources)


def passed(update: Update) -> Give:
    """As the bytes it came as, nonce and all."""
    return Give(update.type_url, update.version, update.nonce, update.resources, update.raw)


# --- incrementally

UP, ENVOY = UpstreamOpened(delta=True), EnvoyOpened(delta=True)


def update(
    url: str, nonce: str, resources: Mapping[str, str] | None = None, *removed: str, raw: bytes = b""
) -> Update:
    """``resources``: name to ``value`` or to ``value@version``. The version of the whole is the nonce's."""
    found = {}
    for name, text in (resources or {}).items():
        value, _, version = text.partition("@")
        found[name] = Piece(Blob(value.encode()), 0, len(value), version)
    return Update(url, f"v-{nonce}", nonce, Resources.of(found), raw, removed, delta=True)


def gave(
    url: str,
    nonce: str,
    resources: Mapping[str, str] | None = None,
    *removed: str,
    version: str = "",
    raw: bytes = b"",
) -> Give:
    """Incrementally; ``resources`` as in ``update``."""
    split = {name: text.partition("@") for name, text in (resources or {}).items()}
    return Give(
        url,
        version,
        nonce,
        {name: value.encode() for name, (value, _, _) in split.items()},
        raw,
        names(*removed),
        {name: number for name, (_, _, number) in split.items()},
        delta=True,
    )


def first(url: str, *subscribe: str, versions: Mapping[str, str] | None = None) -> DeltaAsk:
    return DeltaAsk(url, names(*subscribe), versions=versions or {}, first=True)


def more(url: str, *subscribe: str, without: tuple[str, ...] = ()) -> DeltaAsk:
    return DeltaAsk(url, names(*subscribe), names(*without))


def answer(url: str, nonce: str, error: str = "") -> DeltaAsk:
    return DeltaAsk(url, nonce=nonce, error=error)


def wants(
    url: str, *subscribe: str, without: tuple[str, ...] = (), has: Mapping[str, str] | None = None
) -> DeltaRequest:
    return DeltaRequest(url, names(*subscribe), names(*without), has or {})


def takes(url: str, nonce: str, error: str = "") -> DeltaRequest:
    return DeltaRequest(url, nonce=nonce, error=error)


def served(*before: Event | list[Command]) -> Session:
    """Clusters ``web`` and ``db`` are with the control plane, with us, and accepted by Envoy."""
    session = Session((CDS,))
    play(
        session,
        UP, ENVOY, wants(CDS), [first(CDS)],
        update(CDS, "a", {"web": "1", "db": "1"}), [gave(CDS, "1", {"web": "1", "db": "1"}, version="v-a")],
        takes(CDS, "1"), [answer(CDS, "a")],
        *before,
    )  # fmt: skip
    return session
