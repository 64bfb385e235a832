"""How a DestinationRule chooses among endpoints: by turns, by a hash, by where they are.

Does not:  know Envoy (snapshot/cluster_policy.py, snapshot/locality.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.controlplane.kinds.document import Field

_SIMPLE: Final = ("UNSPECIFIED", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistentHash:
    """One of header, cookie, source_ip, query is set."""

    header: str = ""
    cookie: str = ""
    cookie_path: str = ""
    cookie_ttl: float | None = None
    source_ip: bool = False
    query: str = ""
    ring_size: int = 0
    algorithm: str = ""
    """"ringHash" or "maglev" where the document chooses one."""
    table_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Localities:
    """localityLbSetting. A locality is written ``region/zone/subzone``; ``*`` and what is left out match
    everything."""

    enabled: bool = True
    distribute: tuple[tuple[str, Mapping[str, int]], ...] = ()
    """For clients of a locality: the share, in per cent, of each locality of endpoints."""
    failover: tuple[tuple[str, str], ...] = ()
    """For clients of a region: the region that comes after their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    simple: str = "UNSPECIFIED"
    hash: ConsistentHash | None = None
    localities: Localities | None = None
    """None: the document does not say, and the mesh's default holds."""


def read_load_balancer(at: Field) -> LoadBalancer | None:
    if at.absent:
        return None
    if "simple" in at and "consistentHash" in at:
        raise at.bad("write one of simple and consistentHash")
    return LoadBalancer(
        simple=at["simple"].choice(_SIMPLE, "UNSPECIFIED"),
        hash=_read_hash(at["consistentHash"]),
        localities=_read_localities(at["localityLbSetting"]),
    )


def _read_hash(at: Field) -> ConsistentHash | None:
    if at.absent:
        return None
    cookie = at["httpCookie"]
    algorithm = next((each for each in ("maglev", "ringHash") if each in at), "")
    hash_ = ConsistentHash(
        header=at["httpHeaderName"].text(""),
        cookie="" if cookie.absent else cookie["name"].text(),
        cookie_path=cookie["path"].text(""),
        cookie_ttl=cookie["ttl"].duration() if cookie["ttl"].value not in ("0s", "0") else 0.0,
        source_ip=at["useSourceIp"].flag(False),
        query=at["httpQueryParameterName"].text(""),
        ring_size=at["minimumRingSize"].number(0) or at["ringHash"]["minimumRingSize"].number(0),
        algorithm=algorithm,
        table_size=at["maglev"]["tableSize"].number(0),
    )
    if not (hash_.header or hash_.cookie or hash_.source_ip or hash_.query):
        raise at.bad(
            "consistent hash must name what is hashed: a header, a cookie, a query parameter or the source IP"
        )
    return hash_


def _read_localities(at: Field) -> Localities | None:
    if at.absent:
        return None
    found = Localities(
        enabled=at["enabled"].flag(True),
        distribute=tuple(_read_share(each) for each in at["distribute"]),
        failover=tuple(_read_failover(each) for each in at["failover"]),
    )
    if found.distribute and found.failover:
        raise at.bad("can not simultaneously specify 'distribute' and 'failover': write one of them")
    return found


def _read_share(at: Field) -> tuple[str, Mapping[str, int]]:
    to = at["to"]
    shares = {each: to[each].number(least=1, most=100) for each in to.names()}
    if sum(shares.values()) != 100:
        raise to.bad(f"total locality weight {sum(shares.values())} != 100: let the shares add up to 100")
    return at["from"].text(), shares


def _read_failover(at: Field) -> tuple[str, str]:
    own, next_ = at["from"].text(), at["to"].text()
    if own == next_:
        raise at.bad("locality lb failover settings must specify different regions")
    if "*" in own + next_ or "/" in own + next_:
        raise at.bad("locality lb failover only specify region: write it without / and *")
    return own, next_
