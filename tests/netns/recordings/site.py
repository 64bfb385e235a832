"""A web site on a Unix socket, or behind TLS. Standard library only: it is copied into a host and run there
by Debian's Python, alone.

    site.py PATH                    HTTP on a Unix socket that everybody may use
    site.py PORT KEY CHAIN          HTTPS, which answers with the server name it was asked for
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
        text = f"a site for {ASKED_FOR.get(self.connection.fileno(), 'anybody')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self) -> str:
        return "somebody"


class OnSocket(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        os.chmod(str(self.server_address), 0o666)
        self.server_name, self.server_port = "localhost", 0


def main(where: str, *files: str) -> None:
    if not files:
        OnSocket(where, Handler).serve_forever()  # type: ignore[arg-type]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])

    def named(connection: ssl.SSLObject | ssl.SSLSocket, name: str, _: ssl.SSLContext) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        ASKED_FOR[connection.fileno()] = name

    context.sni_callback = named
    server = ThreadingHTTPServer(("", int(where)), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
