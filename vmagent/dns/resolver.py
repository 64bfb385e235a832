"""What happens to one request: the mesh answers, or the host's resolvers do.

Owns:      the order table, then resolvers; and what becomes of their reply on its way to the client.
Does not:  know where a request came from, except to notice its own (udp.py, tcp.py).
Surprise:  before the first name table the table is empty, so everything is forwarded: the agent never makes
           names fail that worked without it.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from vmagent.dns import message, table, wire
from vmagent.dns.message import HEADER, Malformed, Opcode, Query, Rcode
from vmagent.dns.resolvconf import Endpoint, ResolvConf, ResolvConfFile, usable
from vmagent.dns.table import EMPTY, Found, Table
from vmagent.dns.upstream import Forwarder

log = logging.getLogger("dns")

Send = Callable[[bytes | None], None]
"""Gets the reply, or None where silence is the answer. Called exactly once per request."""


class Resolver:
    def __init__(self, forwarder: Forwarder, file: ResolvConfFile, own: frozenset[Endpoint]) -> None:
        """``own``: where we listen ourselves."""
        self.table: Table = EMPTY
        """Replaced by one assignment, also from another thread."""
        self.counters = forwarder.counters
        self._forwarder = forwarder
        self._file = file
        self._own = own
        self._read = self._usable = ResolvConf()
        self._loop_told = False

    def resolve(self, packet: bytes, source: Endpoint, send: Send, *, stream: bool) -> None:
        """Never raises on what a peer sent, and never answers *no such name* by itself."""
        query = message.read(packet, stream=stream)
        if not isinstance(query, Query):
            self.counters.malformed += 1
            send(query.reply if isinstance(query, Malformed) else None)
            return
        conf = self._resolvers()
        found = self.table.find(query.name, conf.search) if query.opcode == Opcode.QUERY else None
        reply = table.reply(query, found) if found is not None else None
        if reply is not None:
            self.counters.from_table += 1
            send(reply)
        elif self._forwarder.is_own(source):
            self._tell_loop(source)
            send(message.refuse(query, Rcode.SERVFAIL))
        else:
            self._forwarder.forward(
                query, conf, stream=stream, done=lambda answer: send(_finished(query, answer, found))
            )

    def _resolvers(self) -> ResolvConf:
        conf = self._file.look(self._forwarder.loop.now())
        if conf is not self._read:
            self._read = conf
            self._usable = replace(conf, servers=usable(conf.servers, self._own))
        return self._usable

    def _tell_loop(self, source: Endpoint) -> None:
        self.counters.loops += 1
        if not self._loop_told:
            self._loop_told = True
            log.error(
                "our own question to a resolver came back to us from %s port %d: the capture rules do not"
                " exempt this process; names outside the mesh fail until they do",
                *source,
            )


def _finished(query: Query, reply: bytes | None, found: Found | None) -> bytes:
    """What the client gets. For a name that the mesh knows (``found``) *no such name* becomes *nothing of
    this type*: the same name has an address, and resolvers believe *no such name* for all types.
    """
    if reply is None:
        return message.refuse(query, Rcode.SERVFAIL)
    if found is not None and reply[3] & 15 == Rcode.NXDOMAIN:
        reply = reply[:3] + bytes((reply[3] & 0xF0,)) + reply[4:]
    if len(reply) > query.limit:
        return wire.shorten(reply, query.limit, HEADER + len(query.question))
    return reply
