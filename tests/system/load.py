"""Clients that ask all the time and count what they lose. A program for a machine: standard library only.

    python3 load.py REPORT LEAST KIND=TARGET...

until SIGTERM, and until it has sent LEAST requests; then REPORT has one JSON object per KIND.

Kinds: ``new`` (HOST[:PORT], a connection for each request), ``kept`` (the same, one connection for all),
``names`` (NAME@RESOLVER, UDP). A request that has no answer within PATIENCE is lost, as is one whose
connection is refused or reset; nothing is tried again.
"""

import json
import os
import signal
import socket
import struct
import sys
import threading
import time

PATIENCE = 5.0
PAUSE = 0.002
stopping = threading.Event()


class Tally:
    def __init__(self) -> None:
        self.sent = 0
        self.errors: dict[str, int] = {}
        self.longest = 0.0
        """Seconds between two answers."""
        self._last = time.monotonic()

    def answered(self) -> None:
        now = time.monotonic()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def lost(self, why: str) -> None:
        self.errors[why] = self.errors.get(why, 0) + 1


def connected(target: str) -> socket.socket:
    host, _, port = target.partition(":")
    sock = socket.create_connection((host, int(port or 80)), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def exchange(sock: socket.socket, target: str, *, keep: bool) -> bool:
    """One request. Returns whether the connection may be used again."""
    how = "keep-alive" if keep else "close"
    sock.sendall(f"GET /load HTTP/1.1\r\nHost: {target}\r\nConnection: {how}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += received(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise OSError(head.partition(b"\r\n")[0].decode())
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    length = int(fields[b"content-length"])
    while len(body) < length:
        body += received(sock)
    return keep and fields.get(b"connection") != b"close"


def received(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise OSError("closed before the answer")
    return data


def http(tally: Tally, target: str, *, keep: bool) -> None:
    sock: socket.socket | None = None
    while not stopping.is_set():
        tally.sent += 1
        try:
            sock = sock or connected(target)
            reuse = exchange(sock, target, keep=keep)
            tally.answered()
        except OSError as why:
            tally.lost(why.strerror or str(why))
            reuse = False
        if not reuse and sock is not None:
            sock.close()
            sock = None
        time.sleep(PAUSE)


def names(tally: Tally, target: str) -> None:
    name, _, resolver = target.partition("@")
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    while not stopping.is_set():
        tally.sent += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            number = os.urandom(2)
            sock.sendto(
                number + struct.pack(">5H", 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1", (resolver, 53)
            )
            try:
                reply = sock.recv(4096)
                if reply[:2] != number or reply[3] & 15 or not reply[7]:
                    raise OSError(f"rcode {reply[3] & 15}, {reply[7]} answers")
                tally.answered()
            except OSError as why:
                tally.lost(why.strerror or str(why))
        time.sleep(10 * PAUSE)


def work(kind: str, tally: Tally, target: str) -> None:
    if kind == "names":
        names(tally, target)
    else:
        http(tally, target, keep=kind == "kept")


def main(report: str, least: int, jobs: list[str]) -> None:
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    tallies, threads = {}, []
    for job in jobs:
        kind, _, target = job.partition("=")
        tallies[kind] = tally = Tally()
        threads.append(threading.Thread(target=work, args=(kind.partition("-")[0], tally, target)))
    for thread in threads:
        thread.start()
    asked.wait()
    while sum(tally.sent for tally in tallies.values()) < least:
        time.sleep(0.1)
    stopping.set()
    for thread in threads:
        thread.join()
    told = {
        kind: {"sent": tally.sent, "lost": tally.errors, "longest": tally.longest}
        for kind, tally in tallies.items()
    }
    with open(f"{report}.new", "w") as file:
        json.dump(told, file)
    os.replace(f"{report}.new", report)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
