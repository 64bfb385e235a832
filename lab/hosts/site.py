"""A web site behind TLS, or on a Unix socket. Standard library only: it is copied into a host and run there
by Debian's Python, alone.

    site.py PATH                     HTTP on a Unix socket that everybody may use
    site.py PORT KEY CHAIN [ROOTS]   HTTPS; with ROOTS only for who shows a certificate of theirs

Answers with the server name it was asked for, and behind ROOTS with the names of who asks.
"""

import os
import socket
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ASKED_FOR: dict[int, str] = {}
"""File descriptor of a connection to the server name it was opened for."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = f"a site for {ASKED_FOR.get(self.connection.fileno()) or 'anybody'}{self._asker()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _asker(self) -> str:
        shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        names = ", ".join(str(pair[1]) for pair in (shown or {}).get("subjectAltName", ()))
        return f", shown by {names}" if names else ""

    def address_string(self) -> str:
        return "somebody"


class OnSocket(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        os.chmod(str(self.server_address), 0o666)
        self.server_name, self.server_port = "localhost", 0


def secured(key: str, chain: str, roots: str = "") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    if roots:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(roots)

    def named(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        ASKED_FOR[connection.fileno()] = name or ""

    context.sni_callback = named
    return context


def main(where: str, *files: str) -> None:
    if not files:
        os.makedirs(os.path.dirname(where), exist_ok=True)
        OnSocket(where, Handler).serve_forever()  # type: ignore[arg-type]
    server = ThreadingHTTPServer(("", int(where)), Handler)
    # Hands are shaken in the thread that serves, so that nobody who says nothing keeps the others waiting.
    server.socket = secured(*files).wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
