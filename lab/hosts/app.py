"""The application of the documents, a web server that says where it runs. Standard library only: it is copied
into a host and run there by Debian's Python, alone.

    app.py PORT GREETING LOG

Appends to LOG, for each request, one line: the request line, then name=value fields separated by tabs.
``xfcc`` is the header in which a proxy tells whose certificate it saw.
"""

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
        told = [f"{name}={self.headers.get(header, '-')}" for name, header in FIELDS.items()]
        line = "\t".join((self.requestline, f"status={int(code)}", f"peer={self.client_address[0]}", *told))
        with self.log.open("a") as file:
            file.write(f"{line}\n")


def main(port: str, greeting: str, log: str) -> None:
    Handler.greeting = f"{greeting}\n".encode()
    Handler.log = Path(log)
    Handler.log.parent.mkdir(parents=True, exist_ok=True)
    Handler.log.touch()
    ThreadingHTTPServer(("", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
