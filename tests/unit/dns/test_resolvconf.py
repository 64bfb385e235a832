import logging
import os
from pathlib import Path

import pytest

from vmagent.dns.message import encode_name
from vmagent.dns.resolvconf import LOOK_AGAIN, MOST_SERVERS, ResolvConfFile, Server, parse, usable


def servers(text: str) -> list[str]:
    return [str(server) for server in parse(text).servers]


def test_the_file_names_servers_search_domains_and_options() -> None:
    conf = parse(
        "# made by hand\n"
        "domain ignored.example\n"
        "search ns1.svc.cluster.local svc.cluster.local.\n"
        "nameserver 10.96.0.10\n"
        "nameserver  2001:db8::1  # the other one\n"
        "options ndots:5 timeout:2 attempts:4 rotate edns0\n"
    )
    assert [str(server) for server in conf.servers] == ["10.96.0.10", "2001:db8::1"]
    assert conf.search == (encode_name("ns1.svc.cluster.local"), encode_name("svc.cluster.local"))
    assert (conf.timeout, conf.attempts, conf.rotate) == (2.0, 4, True)


def test_an_empty_file_says_nothing() -> None:
    conf = parse("")
    assert (conf.servers, conf.search, conf.timeout, conf.attempts, conf.rotate) == (
        (),
        (),
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    "text",
    ["nameserver", "nameserver dns.example", "#nameserver 1.1.1.1", "; nameserver 1.1.1.1", "server 1.1.1.1"],
)
def test_what_is_no_server_is_none(text: str) -> None:
    assert servers(f"{text}\nnameserver 9.9.9.9") == ["9.9.9.9"]


def test_what_should_be_an_address_and_is_not_is_reported() -> None:
    assert parse("nameserver dns.example\nsearch a..b ok.example").ignored == ("dns.example", "a..b")


def test_the_last_of_search_and_domain_wins() -> None:
    assert parse("search a.example b.example\ndomain c.example").search == (encode_name("c.example"),)
    assert parse("domain c.example\nsearch a.example").search == (encode_name("a.example"),)
    assert parse("search a.example\nsearch").search == ()


def test_the_root_is_no_search_domain_and_a_comment_neither() -> None:
    assert parse("search . a.example # b.example").search == (encode_name("a.example"),)


@pytest.mark.parametrize(
    ("options", "timeout", "attempts"),
    [
        ("timeout:99 attempts:99", 30.0, 5),
        ("timeout:0 attempts:0", 1.0, 1),
        ("timeout:x attempts:", None, None),
    ],
)
def test_options_are_kept_within_what_glibc_allows(
    options: str, timeout: float | None, attempts: int | None
) -> None:
    conf = parse(f"options {options}")
    assert (conf.timeout, conf.attempts) == (timeout, attempts)


def test_a_link_local_server_keeps_its_interface() -> None:
    (server,) = parse("nameserver fe80::1%lo").servers
    assert server.address == ("fe80::1", 53, 0, 1)
    assert servers("nameserver fe80::1%nosuchif0\nnameserver 1.1.1.1%lo\nnameserver 1.1.1.1") == ["1.1.1.1"]


def test_nobody_is_asked_twice_and_not_more_than_glibc_asks() -> None:
    found = parse("".join(f"nameserver 10.0.0.{i % 5}\n" for i in range(10))).servers
    assert len(found) == 5
    assert len(usable(found, frozenset())) == MOST_SERVERS


def test_we_never_ask_ourselves_but_may_ask_a_neighbour_on_loopback() -> None:
    found = tuple(Server.parse(text, 53) for text in ("127.0.0.1", "::1", "127.0.0.53", "10.0.0.1"))
    own = frozenset({("127.0.0.1", 53), ("::1", 53)})
    assert [str(server) for server in usable(found, own)] == ["127.0.0.53", "10.0.0.1"]
    other_port = frozenset({("127.0.0.1", 15053)})
    assert str(usable(found, other_port)[0]) == "127.0.0.1"


# --- the file, which changes ------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\n")
    return path


def now_named(file: ResolvConfFile, now: float) -> list[str]:
    return [str(server) for server in file.look(now).servers]


def test_a_rewritten_file_counts_from_the_next_look(path: Path) -> None:
    file = ResolvConfFile(path)
    assert now_named(file, 0) == ["10.0.0.1"]
    path.write_text("nameserver 10.0.0.22\n")
    assert now_named(file, LOOK_AGAIN / 2) == ["10.0.0.1"]
    assert now_named(file, LOOK_AGAIN) == ["10.0.0.22"]


def test_a_file_put_in_its_place_counts(path: Path) -> None:
    file = ResolvConfFile(path)
    file.look(0)
    other = path.with_name("new")
    other.write_text("nameserver 10.0.0.2\n")
    os.replace(other, path)
    assert now_named(file, 1) == ["10.0.0.2"]


def test_a_link_turned_to_another_file_counts(path: Path) -> None:
    other = path.with_name("stub")
    other.write_text("nameserver 127.0.0.53\n")
    link = path.with_name("link")
    link.symlink_to(path)
    file = ResolvConfFile(link)
    assert now_named(file, 0) == ["10.0.0.1"]
    link.unlink()
    link.symlink_to(other)
    assert now_named(file, 1) == ["127.0.0.53"]


@pytest.mark.parametrize("text", ["", "search corp.example\n", "nameserver \n", "nameserver nonsense\n"])
def test_a_version_without_servers_is_ignored(path: Path, text: str) -> None:
    file = ResolvConfFile(path)
    file.look(0)
    path.write_text(text)
    assert now_named(file, 1) == ["10.0.0.1"]
    path.write_text("nameserver 10.0.0.3\n")
    assert now_named(file, 2) == ["10.0.0.3"]


def test_a_file_that_goes_away_changes_nothing_and_is_mentioned_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = ResolvConfFile(path)
    file.look(0)
    path.unlink()
    with caplog.at_level(logging.WARNING):
        for now in range(1, 5):
            assert now_named(file, now) == ["10.0.0.1"]
    assert len(caplog.records) == 1
    path.write_text("nameserver 10.0.0.4\n")
    assert now_named(file, 9) == ["10.0.0.4"]


def test_a_host_without_the_file_starts_without_resolvers(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    file = ResolvConfFile(path)
    assert now_named(file, 0) == []
    path.write_text("nameserver 10.0.0.4\n")
    assert now_named(file, 1) == ["10.0.0.4"]
