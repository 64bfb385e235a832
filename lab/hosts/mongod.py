"""A database that speaks as much MongoDB as a client's first question takes, over mutual TLS; and such a
client. Standard library only: it is copied into a host and run there by Debian's Python, alone.

    mongod.py serve PORT KEY CHAIN ROOTS    answers who shows a certificate of ROOTS
    mongod.py ask ADDRESS PORT              prints the answer to ``hello``; speaks plainly, TLS is the proxy's

Frames and BSON are MongoDB's (OP_MSG, one body section), so that Envoy's filter for it reads along.
"""

import socket
import socketserver
import ssl
import struct
import sys

OP_MSG = 2013
HEADER = struct.Struct("<iiii")
LONGEST = 48 * 1024 * 1024
"""Bytes of a message, as MongoDB limits them."""

PATIENCE = 10.0


def document(fields: dict[str, str | int]) -> bytes:
    """BSON of texts and 32-bit numbers."""
    body = b""
    for name, value in fields.items():
        key = name.encode() + b"\0"
        if isinstance(value, int):
            body += b"\x10" + key + struct.pack("<i", value)
        else:
            text = value.encode() + b"\0"
            body += b"\x02" + key + struct.pack("<i", len(text)) + text
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def fields_of(bson: bytes) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    at = 4
    while bson[at]:
        kind, end = bson[at], bson.index(b"\0", at + 1)
        name, at = bson[at + 1 : end].decode(), end + 1
        if kind == 0x10:
            found[name] = int.from_bytes(bson[at : at + 4], "little", signed=True)
            at += 4
        elif kind == 0x02:
            size = int.from_bytes(bson[at : at + 4], "little")
            found[name] = bson[at + 4 : at + 3 + size].decode()
            at += 4 + size
        else:
            raise ValueError(f"a field of type {kind:#x} is not read here")
    return found


def send(connection: socket.socket, fields: dict[str, str | int], *, number: int, answers: int = 0) -> None:
    body = struct.pack("<i", 0) + b"\0" + document(fields)
    connection.sendall(HEADER.pack(HEADER.size + len(body), number, answers, OP_MSG) + body)


def receive(connection: socket.socket) -> tuple[int, dict[str, str | int]]:
    """Number and fields. Raises EOFError where the other side has gone."""
    length, number, _, code = HEADER.unpack(_exactly(connection, HEADER.size))
    if code != OP_MSG or not HEADER.size < length <= LONGEST:
        raise ValueError(f"operation {code} of {length} bytes is no OP_MSG")
    return number, fields_of(_exactly(connection, length - HEADER.size)[5:])


def _exactly(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        more = connection.recv(size - len(read))
        if not more:
            raise EOFError(f"the connection ended after {len(read)} of {size} bytes")
        read += more
    return read


class Database(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Handler(socketserver.BaseRequestHandler):
    context: ssl.SSLContext

    def handle(self) -> None:
        self.request.settimeout(PATIENCE)
        with self.context.wrap_socket(self.request, server_side=True) as secured:
            shown = secured.getpeercert() or {}
            names = ", ".join(str(pair[1]) for pair in shown.get("subjectAltName", ()))
            while True:
                try:
                    number, _ = receive(secured)
                except EOFError:
                    return
                answer: dict[str, str | int] = {"me": secured.getsockname()[0], "client": names, "ok": 1}
                send(secured, answer, number=number + 1, answers=number)


def serve(port: str, key: str, chain: str, roots: str) -> None:
    Handler.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Handler.context.load_cert_chain(chain, key)
    Handler.context.load_verify_locations(roots)
    Handler.context.verify_mode = ssl.CERT_REQUIRED
    Database(("", int(port)), Handler).serve_forever()


def ask(address: str, port: str) -> None:
    with socket.create_connection((address, int(port)), PATIENCE) as connection:
        send(connection, {"hello": 1, "$db": "admin"}, number=1)
        _, answer = receive(connection)
    print(" ".join(f"{name}={value}" for name, value in answer.items()))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        ask(*sys.argv[2:])
