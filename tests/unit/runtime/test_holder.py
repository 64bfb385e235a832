import os
from pathlib import Path

import pytest

from vmagent.runtime.holder import holder

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = "  1: 0100007F:3ACD 00000000:0000 {state} 0:0 00:0 0 {uid} 0 {inode}\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "4711" / "fd").mkdir(parents=True)
    (tmp_path / "4711" / "comm").write_text("dnsmasq\n")
    (tmp_path / "net" / "udp").write_text(HEAD + LINE.format(state="07", uid=0, inode=99))
    return tmp_path


def test_the_process_that_has_the_port_is_named(proc: Path) -> None:
    os.symlink("socket:[99]", proc / "4711" / "fd" / "3")
    assert holder(15053, proc) == "pid 4711 (dnsmasq)"


def test_a_process_we_may_not_look_into_is_known_by_its_user(proc: Path) -> None:
    assert holder(15053, proc) == "a process of user root"


def test_a_connection_from_that_port_does_not_hold_it(proc: Path) -> None:
    (proc / "net" / "udp").unlink()
    (proc / "net" / "tcp").write_text(HEAD + LINE.format(state="01", uid=0, inode=99))
    assert holder(15053, proc) == "another process"
