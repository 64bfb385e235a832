"""What listens on the loopback of a host, asked over HTTP.

Owns:      the connection and its limits.
Does not:  know who answers there: the control plane's API (cluster.py), an Envoy (proxyconfig/).
Surprise:  the socket is made in that host's network by this very process; nothing is started there.
"""

import http.client
import socket
from dataclasses import dataclass
from typing import Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.host import Host

MAX_ANSWER: Final = 512 * 1024 * 1024
"""Bytes; the configuration of a proxy in a mesh of 10 000 services is a tenth of it."""


class Unanswered(Exception):
    """Nobody listens, or no whole answer came; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    text: str
    warnings: tuple[str, ...] = ()
    """Texts of ``Warning`` headers, as an API server sends them."""


def ask(
    host: Host, port: int, path: str, *, method: str = "GET", body: str | None = None, patience: float
) -> Answer:
    """``patience``: seconds for connecting, and again for each wait for bytes. Raises Unanswered; LabError
    if the lab is not up."""
    connection = _Connection(host, port, patience)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        read = answer.read(MAX_ANSWER + 1)
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(str(error) or type(error).__name__) from None
    finally:
        connection.close()
    if len(read) > MAX_ANSWER:
        raise Unanswered(f"more than {MAX_ANSWER} bytes")
    warnings = tuple(_warning(each) for each in answer.headers.get_all("Warning", ()))
    return Answer(status=answer.status, text=read.decode(errors="replace"), warnings=warnings)


def _warning(header: str) -> str:
    """``299 - "text"``, of which the text."""
    return header.partition('"')[2].removesuffix('"').replace('\\"', '"').replace("\\\\", "\\")


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: Host, port: int, patience: float) -> None:
        super().__init__("127.0.0.1", port, timeout=patience)
        self._network = host.network
        self._patience = patience

    def connect(self) -> None:
        try:
            with kernel.inside_network(self._network):
                self.sock = socket.create_connection((self.host, self.port), self._patience)
        except FileNotFoundError:
            raise LabError("the lab is not up", hint="lab up") from None
