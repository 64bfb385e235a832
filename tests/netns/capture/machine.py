"""A virtual machine and a neighbour, as two network namespaces with a cable between them.

Sockets are made from here: a thread enters the namespace, with the file-system uid and gid that netfilter's
owner match looks at, makes its socket and comes back. Commands run in the machine with its own
/etc/alternatives and resolv.conf.
"""

import contextlib
import ctypes
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

VM, PEER, OTHER = "10.9.0.1", "10.9.0.2", "10.9.0.3"
VM6, PEER6 = "fd09::1", "fd09::2"
UID, GID = 4101, 4102
"""istio-proxy's, different on purpose."""
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class Machine:
    def __init__(self, flavour: str, directory: Path) -> None:
        self.flavour = flavour
        self.directory = directory
        self.vm, self.peer = f"capture-vm-{os.getpid()}", f"capture-peer-{os.getpid()}"
        self.run_directory = directory / "run"
        self.without_nft = False
        """Commands then find no nft(8)."""
        self.without_iptables = False
        """Commands then find no iptables of either flavour."""
        self.env: dict[str, str] = {
            "PROXY_UID": str(UID),
            "PROXY_GID": str(GID),
            "ISTIO_INBOUND_PORTS": "*",
            "ISTIO_LOCAL_EXCLUDE_PORTS": "22,15090,15021,15020",
            "ISTIO_SERVICE_CIDR": "*",
            "ISTIO_META_DNS_CAPTURE": "true",
        }

    def build(self) -> None:
        (self.directory / "resolv.conf").write_text(f"nameserver {PEER}\n")
        alternatives = self.directory / "alternatives"
        alternatives.mkdir()
        for name in ("iptables", "ip6tables"):
            for tail in ("", "-save", "-restore"):
                (alternatives / f"{name}{tail}").symlink_to(f"/usr/sbin/{name}-{self.flavour}{tail}")
        for name in (self.vm, self.peer):
            sh("ip", "netns", "add", name)
        cable = f"cap{os.getpid()}"
        sh(
            "ip",
            "link",
            "add",
            cable,
            "netns",
            self.vm,
            "type",
            "veth",
            "peer",
            "name",
            cable,
            "netns",
            self.peer,
        )
        for name, addresses in ((self.vm, (VM, VM6)), (self.peer, (PEER, OTHER, PEER6))):
            for address in addresses:
                width = "64" if ":" in address else "24"
                nodad = ["nodad"] if ":" in address else []
                sh("ip", "-n", name, "addr", "add", f"{address}/{width}", "dev", cable, *nodad)
            for link in ("lo", cable):
                sh("ip", "-n", name, "link", "set", link, "up")
        sh("ip", "-n", self.vm, "route", "add", "default", "via", PEER)

    def tear_down(self) -> None:
        for name in (self.vm, self.peer):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def inside(self, *argv: str) -> list[str]:
        """The command line that runs ``argv`` in the machine."""
        hidden = ["nft"] if self.without_nft else []
        hidden += ["xtables-nft-multi", "xtables-legacy-multi"] if self.without_iptables else []
        hide = "".join(f"mount --bind /dev/null /usr/sbin/{name} && " for name in hidden)
        mounts = (
            f"{hide}mount --bind {self.directory}/alternatives /etc/alternatives && "
            f'mount --bind {self.directory}/resolv.conf /etc/resolv.conf && exec "$@"'
        )
        return ["ip", "netns", "exec", self.vm, "unshare", "-m", "sh", "-c", mounts, "sh", *argv]

    def run(self, *argv: str, text: str = "") -> str:
        return sh(*self.inside(*argv), text=text)

    def driver(
        self, verb: str, *, env: Mapping[str, str] | None = None, die_at: int = -1
    ) -> subprocess.CompletedProcess[str]:
        settings = {**self.env, **(env or {})}
        argv = self.driver_argv(verb, settings, die_at)
        return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)

    def driver_argv(self, verb: str, settings: Mapping[str, str], die_at: int = -1) -> list[str]:
        code = (verb, str(self.run_directory), json.dumps(settings), str(die_at))
        return self.inside(sys.executable, "-m", "tests.netns.capture.driver", *code)

    def apply(self, **env: str) -> dict[str, Any]:
        return answer(self.driver("apply", env=env))

    def remove(self) -> dict[str, Any]:
        return answer(self.driver("remove"))

    def verify(self) -> dict[str, Any]:
        return answer(self.driver("verify"))

    def saved(self) -> str:
        """Both families, without comment lines and counters."""
        text = self.run("iptables-save") + "--\n" + self.run("ip6tables-save")
        lines = (re.sub(r"\[\d+:\d+\]", "", line) for line in text.splitlines())
        return "\n".join(line.rstrip() for line in lines if not line.startswith("#"))

    def comparable(self) -> str:
        """``saved``, and on legacy hosts without tables that are empty: those may stay."""
        if self.flavour == "nft":
            return self.saved()
        kept = [
            table
            for table in re.findall(r"\*\w+\n.*?COMMIT|--", self.saved(), re.DOTALL)
            if "-A " in table or " - " in table or table == "--"
        ]
        return "\n".join(kept)

    @contextlib.contextmanager
    def standing_in(self, name: str, uid: int = 0, gid: int = 0) -> Iterator[None]:
        with (
            Path("/proc/thread-self/ns/net").open() as home,
            Path(f"/run/netns/{name}").open() as there,
        ):
            _setns(there.fileno())
            _libc.setfsgid(gid)
            _libc.setfsuid(uid)
            try:
                yield
            finally:
                _libc.setfsuid(0)
                _libc.setfsgid(0)
                _setns(home.fileno())

    def open(
        self, name: str, kind: socket.SocketKind, address: str, uid: int = 0, gid: int = 0
    ) -> socket.socket:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.standing_in(name, uid, gid):
            return socket.socket(family, kind)

    def connect(self, name: str, address: str, port: int, uid: int = 1000, gid: int = 1000) -> socket.socket:
        sock = self.open(name, socket.SOCK_STREAM, address, uid, gid)
        sock.settimeout(3)
        sock.connect((address, port))
        return sock

    def tcp(self, name: str, address: str, port: int, uid: int = 1000, gid: int = 1000) -> str:
        """Who answers a new connection."""
        with self.connect(name, address, port, uid, gid) as sock:
            return ask(sock)

    def udp(self, name: str, address: str, port: int, uid: int = 1000, gid: int = 1000) -> str:
        """Who answers a datagram. The socket is connected: answers from other addresses do not arrive."""
        with self.open(name, socket.SOCK_DGRAM, address, uid, gid) as sock:
            sock.settimeout(1)
            sock.connect((address, port))
            return ask(sock)


def _setns(handle: int) -> None:
    if _libc.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def ask(sock: socket.socket) -> str:
    try:
        sock.sendall(b"?")
        return sock.recv(100).decode() or "closed"
    except TimeoutError:
        return "silence"
    except ConnectionError as error:
        return type(error).__name__


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def sh(*argv: str, text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


class Echo:
    """Answers everything with its name, on any number of sockets, from one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._names: dict[int, str] = {}
        self._sockets: list[socket.socket] = []
        self._stop, waker = socket.socketpair()
        self._waker = waker
        self._selector.register(self._stop, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._begun = False

    def listen(
        self,
        machine: Machine,
        where: str,
        kind: socket.SocketKind,
        address: str,
        ports: Sequence[int],
        name: str,
        uid: int = 0,
        gid: int = 0,
    ) -> None:
        for port in ports:
            sock = machine.open(where, kind, address, uid, gid)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            if kind is socket.SOCK_STREAM:
                sock.listen()
            self._add(sock, name)

    def start(self) -> None:
        self._begun = True
        self._thread.start()

    def close(self) -> None:
        if self._begun:
            self._waker.send(b"x")
            self._thread.join()
        for sock in (*self._sockets, self._waker, self._stop):
            sock.close()
        self._selector.close()

    def hang_up(self, name: str) -> None:
        """That server dies: its sockets are closed."""
        for sock in [sock for sock in self._sockets if self._names.get(sock.fileno()) == name]:
            self._drop(sock)

    def _add(self, sock: socket.socket, name: str) -> None:
        self._names[sock.fileno()] = name
        self._sockets.append(sock)
        self._selector.register(sock, selectors.EVENT_READ)

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self._sockets.remove(sock)
        sock.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._stop:
                    return
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        name = self._names[sock.fileno()]
        if sock.type == socket.SOCK_DGRAM:
            _, sender = sock.recvfrom(2000)
            sock.sendto(name.encode(), sender)
        elif sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            connection, _ = sock.accept()
            self._add(connection, name)
        else:
            try:
                data = sock.recv(2000)
                if data:
                    sock.sendall(name.encode())
            except ConnectionError:
                data = b""
            if not data:
                self._drop(sock)
