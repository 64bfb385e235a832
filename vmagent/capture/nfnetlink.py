"""What the iptables tools cannot do about nf_tables: list base chains, take back an empty table, keep one
that is nobody's.

Speaks netlink itself, because a host may have iptables without nft(8), and because a transaction that
carries the generation number is the only way to say "delete this, unless somebody used it meanwhile".
Numbers are those of <linux/netfilter/nf_tables.h> and <linux/netfilter/nfnetlink.h>.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vmagent.capture.rule import Family
from vmagent.errors import Unavailable

_NETLINK_NETFILTER: Final = 12
_SUBSYSTEM: Final = 10
_NEWTABLE, _DELTABLE, _NEWCHAIN, _GETCHAIN, _DELCHAIN, _GETGEN = 0, 2, 3, 4, 5, 16
_BATCH_BEGIN, _BATCH_END = 16, 17
_REQUEST, _ACK, _DUMP, _CREATE = 0x1, 0x4, 0x300, 0x400
_ERROR, _DONE = 2, 3
_GEN_ID, _BATCH_GENID = 1, 1
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_USE, _CHAIN_TYPE = 1, 3, 4, 5, 6, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_IS_NESTED: Final = 0x8000
_NESTED: Final = 0x3FFF
_LOCAL_OUT: Final = 3
_AFTER_ALL: Final = 300
"""Priority: later than everybody's."""
_NF_ACCEPT: Final = 1
_FAMILY: Final[dict[Family, int]] = {"ipv4": 2, "ipv6": 10}

_ATTEMPTS: Final = 5
"""Tries to delete while others keep changing the ruleset; each takes well under a millisecond."""

_REPLY: Final = 1 << 17
"""Bytes per read: the kernel fills at most 32 KiB of a dump at once."""

_WAIT: Final = 5.0
"""Seconds for an answer of the kernel, which comes at once or never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    table: str
    name: str
    base: bool
    idle: bool
    """Policy ACCEPT, no rule, nobody jumps to it."""


def base_chains(family: Family) -> dict[str, tuple[str, ...]]:
    """table → names of its base chains; a table without any chain is not listed."""
    found: dict[str, tuple[str, ...]] = {}
    with _connect() as sock:
        for chain in _chains(sock, family):
            before = found.setdefault(chain.table, ())
            found[chain.table] = (*before, chain.name) if chain.base else before
    return found


def drop_empty(family: Family, table: str, keep: Sequence[str], *, drop_table: bool) -> None:
    """Delete idle base chains of ``table`` that are not in ``keep``; the table too, if asked and then
    empty.
    """
    with _connect() as sock:
        for _ in range(_ATTEMPTS):
            generation = _generation(sock)
            mine = [chain for chain in _chains(sock, family) if chain.table == table]
            gone = [chain for chain in mine if chain.base and chain.idle and chain.name not in keep]
            whole = drop_table and len(gone) == len(mine)
            if not gone and not whole:
                return
            error = _delete(sock, family, table, [chain.name for chain in gone], generation, whole=whole)
            if error in (0, errno.ENOENT):
                return
            if error not in (errno.ERESTART, errno.EBUSY):
                raise Unavailable(f"cannot take back the empty table {table}: {os.strerror(error)}")
    raise Unavailable(f"cannot take back the empty table {table}: its rules keep changing")


def add_nat_chain(family: Family, table: str, chain: str) -> None:
    """A table with one empty NAT chain of outgoing packets: while it is there, the kernel translates the
    packets of connections that it has once translated. What is there already stays.
    """
    hook = _attribute(_HOOK_NUMBER, struct.pack(">I", _LOCAL_OUT))
    hook += _attribute(_HOOK_PRIORITY, struct.pack(">i", _AFTER_ALL))
    body = (
        _attribute(_CHAIN_TABLE, _text(table))
        + _attribute(_CHAIN_NAME, _text(chain))
        + _attribute(_CHAIN_HOOK | _IS_NESTED, hook)
        + _attribute(_CHAIN_POLICY, struct.pack(">I", _NF_ACCEPT))
        + _attribute(_CHAIN_TYPE, _text("nat"))
    )
    made = ((_NEWTABLE, _attribute(_TABLE_NAME, _text(table))), (_NEWCHAIN, body))
    error = _changed(family, [(kind, _CREATE, what) for kind, what in made])
    if error:
        raise Unavailable(f"cannot make the table {table}: {os.strerror(error)}")


def drop_table(family: Family, table: str) -> None:
    """With all that is in it. Gone afterwards, whether it was there or not."""
    error = _changed(family, [(_DELTABLE, 0, _attribute(_TABLE_NAME, _text(table)))])
    if error not in (0, errno.ENOENT):
        raise Unavailable(f"cannot take back the table {table}: {os.strerror(error)}")


def _changed(family: Family, changes: Sequence[tuple[int, int, bytes]]) -> int:
    """0 or an errno, for all of them together. A change: message, flags, body."""
    parts = [
        _message(_type(kind), _REQUEST | _ACK | flags, _FAMILY[family], 0, body)
        for kind, flags, body in changes
    ]
    try:
        with _connect() as sock:
            return _transact(sock, _message(_BATCH_BEGIN, _REQUEST, 0, _SUBSYSTEM, b""), parts)
    except OSError as why:
        return why.errno or errno.EIO


def _connect() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    sock.settimeout(_WAIT)
    return sock


def _delete(
    sock: socket.socket, family: Family, table: str, chains: Sequence[str], generation: int, *, whole: bool
) -> int:
    """0 or an errno, for all of it together."""
    begin = _message(
        _BATCH_BEGIN, _REQUEST, 0, _SUBSYSTEM, _attribute(_BATCH_GENID, struct.pack(">I", generation))
    )
    name = _attribute(_CHAIN_TABLE, _text(table))
    flags = _REQUEST | _ACK
    parts = [
        _message(_type(_DELCHAIN), flags, _FAMILY[family], 0, name + _attribute(_CHAIN_NAME, _text(chain)))
        for chain in chains
    ]
    if whole:
        body = _attribute(_TABLE_NAME, _text(table))
        parts.append(_message(_type(_DELTABLE), flags, _FAMILY[family], 0, body))
    return _transact(sock, begin, parts)


def _transact(sock: socket.socket, begin: bytes, parts: Sequence[bytes]) -> int:
    """Each of ``parts`` asks for an answer. 0 or an errno, for all of it together."""
    sock.send(b"".join((begin, *parts, _message(_BATCH_END, _REQUEST, 0, _SUBSYSTEM, b""))))
    pending = len(parts)
    while pending:
        for kind, payload in _messages(sock.recv(_REPLY)):
            if kind == _ERROR:
                code = -struct.unpack_from("=i", payload)[0]
                if code:
                    return int(code)
                pending -= 1
    return 0


def _generation(sock: socket.socket) -> int:
    sock.send(_message(_type(_GETGEN), _REQUEST, 0, 0, b""))
    for _, payload in _messages(sock.recv(_REPLY)):
        return int(struct.unpack(">I", _attributes(payload[4:])[_GEN_ID])[0])
    raise Unavailable("nf_tables did not tell its generation")


def _chains(sock: socket.socket, family: Family) -> list[_Chain]:
    sock.send(_message(_type(_GETCHAIN), _REQUEST | _DUMP, _FAMILY[family], 0, b""))
    found: list[_Chain] = []
    while True:
        for kind, payload in _messages(sock.recv(_REPLY)):
            if kind == _DONE:
                return found
            if kind == _ERROR:
                code = -struct.unpack_from("=i", payload)[0]
                raise Unavailable(f"cannot list nf_tables chains: {os.strerror(code)}")
            found.append(_chain(_attributes(payload[4:])))


def _chain(attributes: dict[int, bytes]) -> _Chain:
    use = struct.unpack(">I", attributes.get(_CHAIN_USE, b"\0\0\0\0"))[0]
    policy = struct.unpack(">I", attributes.get(_CHAIN_POLICY, struct.pack(">I", _NF_ACCEPT)))[0]
    return _Chain(
        table=attributes[_CHAIN_TABLE].rstrip(b"\0").decode(),
        name=attributes[_CHAIN_NAME].rstrip(b"\0").decode(),
        base=_CHAIN_HOOK in attributes,
        idle=use == 0 and policy == _NF_ACCEPT,
    )


def _type(message: int) -> int:
    return _SUBSYSTEM << 8 | message


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _message(kind: int, flags: int, family: int, resource: int, body: bytes) -> bytes:
    payload = struct.pack(">BBH", family, 0, resource) + body
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, 0, 0) + payload


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind & _NESTED] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if size < 16:
            return
        yield kind, data[at + 16 : at + size]
        at += (size + 3) & ~3
