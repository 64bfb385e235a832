import socket
from pathlib import Path

import pytest

from vmagent.runtime.notify import notify


@pytest.mark.effects
@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_at_a_path_and_at_an_abstract_address(tmp_path: Path, abstract: bool) -> None:
    address = f"@vmagent-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        notify("READY=1", address=address)
        assert systemd.recv(64) == b"READY=1"


def test_without_systemd_there_is_silence() -> None:
    notify("READY=1", address=None)
