import os
import socket
from pathlib import Path

import pytest

from vmagent.runtime.systemd import Systemd, notify


@pytest.mark.effects
@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_at_a_path_and_at_an_abstract_address(tmp_path: Path, abstract: bool) -> None:
    address = f"@vmagent-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        notify("READY=1", address=address)
        assert systemd.recv(64) == b"READY=1"


def test_without_systemd_there_is_silence() -> None:
    Systemd.of({}, 7).tell("READY=1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
        ({"WATCHDOG_PID": "7"}, 0.0),
    ],
)
def test_a_watchdog_counts_if_it_is_meant_for_this_process(environ: dict[str, str], seconds: float) -> None:
    assert Systemd.of(environ, 7).watchdog == seconds


@pytest.mark.effects
def test_a_socket_that_is_away_ends_nothing_and_is_told_later_what_it_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = str(tmp_path / "notify")
    notify("READY=1\nSTATUS=starting", address=address)
    notify("STATUS=serving a=b", address=address)
    assert [record.getMessage() for record in caplog.records] == [
        f"systemd cannot be told (NOTIFY_SOCKET={address}): No such file or directory"
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        notify("STATUS=serving", address=address)
        notify("STATUS=draining", address=address)
        assert systemd.recv(64) == b"READY=1\nSTATUS=serving"
        assert systemd.recv(64) == b"STATUS=draining"


@pytest.mark.effects
def test_a_socket_that_nobody_reads_blocks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        for number in range(10_000):
            notify(f"STATUS={number}", address=address)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("environ", "inherited"),
    [
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "dns:dns"}, (("dns", 3), ("dns", 4))),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "dns"}, (("dns", 3), ("", 4))),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, (("", 3),)),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""}, ()),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "many"}, ()),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, ()),
        ({"LISTEN_FDS": "2"}, ()),
    ],
)
def test_sockets_of_a_predecessor_count_if_they_are_meant_for_this_process(
    environ: dict[str, str], inherited: tuple[tuple[str, int], ...]
) -> None:
    assert Systemd.of(environ, 7).inherited == inherited


@pytest.mark.effects
def test_sockets_are_left_with_systemd_in_place_of_those_of_before(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    told = Systemd(notify_socket=address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, socket.socket() as ours:
        systemd.bind(address)
        told.keep("dns", [ours.fileno()])
        assert systemd.recv(100) == b"FDSTOREREMOVE=1\nFDNAME=dns"
        data, numbers, _, _ = socket.recv_fds(systemd, 100, 4)
        assert data == b"FDSTORE=1\nFDNAME=dns\nFDPOLL=0"
        with socket.socket(fileno=numbers[0]) as kept:
            assert os.path.sameopenfile(kept.fileno(), ours.fileno())


@pytest.mark.effects
def test_a_systemd_that_keeps_nothing_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Systemd(notify_socket=str(tmp_path / "nobody")).keep("dns", [0])
    assert "systemd keeps no sockets for a restart" in caplog.text
    Systemd().keep("dns", [0])
