import socket
from pathlib import Path

import pytest

from vmagent.capture import listening

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def table(*sockets: tuple[str, str]) -> str:
    lines = (
        f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000\n" for local, state in sockets
    )
    return HEAD + "".join(lines)


def write(directory: Path, *, tcp: str = HEAD, tcp6: str = HEAD) -> None:
    (directory / "tcp").write_text(tcp)
    (directory / "tcp6").write_text(tcp6)


V4, V6 = "00000000:3A99", "00000000000000000000000000000000:3A99"


def test_each_family_is_told_by_its_own_table(tmp_path: Path) -> None:
    write(tmp_path, tcp=table(("0100007F:0016", "0A"), (V4, "0A")))
    assert listening.families(15001, tmp_path) == {"ipv4"}
    write(tmp_path, tcp6=table((V6, "0A")))
    assert listening.families(15001, tmp_path) == {"ipv6"}
    write(tmp_path, tcp=table((V4, "0A")), tcp6=table((V6, "0A")))
    assert listening.families(15001, tmp_path) == {"ipv4", "ipv6"}


def test_a_connection_to_the_port_is_nobody_who_listens(tmp_path: Path) -> None:
    write(tmp_path, tcp=table((V4, "01")))
    assert listening.families(15001, tmp_path) == frozenset()


def test_a_kernel_without_ipv6_has_no_table_of_it(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(table((V4, "0A")))
    assert listening.families(15001, tmp_path) == {"ipv4"}


@pytest.mark.effects
@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", "ipv4"), ("::1", "ipv6")])
def test_the_kernels_own_tables_are_read_and_either_loopback_is_enough(host: str, family: str) -> None:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=kind) as server:
        port = server.getsockname()[1]
        assert listening.families(port) == {family}
        assert listening.accepts(port)
    assert not listening.accepts(port)


@pytest.mark.effects
def test_a_move_is_told_once_in_a_while_and_not_when_the_rules_have_followed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        followed = listening.Followed(frozenset({"ipv4", "ipv6"}))
        assert followed.moved(port, 100.0)
        assert not followed.moved(port, 101.0)
        assert followed.moved(port, 100.0 + listening.AGAIN)
        followed.write(frozenset({"ipv4"}))
        assert not followed.moved(port, 200.0)
    followed.write(frozenset({"ipv6"}))
    assert not followed.moved(port, 300.0)  # nobody listens: no move
