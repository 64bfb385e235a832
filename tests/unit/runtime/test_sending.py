"""A library's Unix socket gets more room, and no other."""

import socket
from pathlib import Path

import pytest

from vmagent.runtime import sending


@pytest.mark.effects
def test_connections_to_our_socket_get_more_room_and_no_others(tmp_path: Path) -> None:
    most = int(Path("/proc/sys/net/core/wmem_max").read_text())
    with _connected(tmp_path / "ours") as (ours, _), _connected(tmp_path / "other") as (other, _):
        before = _room(ours), _room(other)
        sending.widen(tmp_path / "ours")
        assert _room(ours) == 2 * min(sending.WANTED, most)
        assert (_room(ours) > before[0], _room(other)) == (True, before[1])


class _connected:
    """The accepted end, and the one that connected."""

    def __init__(self, path: Path) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._calling = socket.socket(socket.AF_UNIX)
        self._calling.connect(str(path))
        self._accepted = self._listening.accept()[0]

    def __enter__(self) -> tuple[socket.socket, socket.socket]:
        return self._accepted, self._calling

    def __exit__(self, *_: object) -> None:
        for each in (self._accepted, self._calling, self._listening):
            each.close()


def _room(end: socket.socket) -> int:
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
