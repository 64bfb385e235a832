"""The application of the documents, a web server that says where it runs. Standard library only: it is copied
into a host and run there by Debian's Python, alone.

    app.py PORT GREETING LOG

Appends to LOG, for each request, one line: the request line, then name=value fields separated by tabs.
``xfcc`` is the header in which a proxy tells whose certificate it saw.
"""

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FIELDS = {"host": "Host", "agent": "User-Agent", "xfcc": "X-Forwarded-Client-Cert"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait 40 ms for an ACK
    greeting = b""
    log = Path()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(self.greeting)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.greeting)

    do_HEAD = do_GET

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        peer = self.client_address[0].removeprefix("::ffff:")
        told = [f"{name}={self.headers.get(header, '-')}" for name, header in FIELDS.items()]
        line = "\t".join((self.requestline, f"status={int(code)}", f"peer={peer}", *told))
        with self.log.open("a") as file:
            file.write(f"{line}\n")


class BothFamilies(ThreadingHTTPServer):
    """One socket, as nginx has it with ``listen [::]:80 ipv6only=off``."""

    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def main(port: str, greeting: str, log: str) -> None:
    Handler.greeting = f"{greeting}\n".encode()
    Handler.log = Path(log)
    Handler.log.parent.mkdir(parents=True, exist_ok=True)
    Handler.log.touch()
    server = BothFamilies if socket.has_dualstack_ipv6() else ThreadingHTTPServer
    server(("", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
