from vmagent.capture.host import ipv6_addresses, nameservers


def servers(text: str) -> list[str]:
    return [str(server) for server in nameservers(text)]


def test_nameservers_are_taken_in_order_and_once() -> None:
    text = "search a b\nnameserver 10.96.0.10\nnameserver fd00::53\nnameserver 10.96.0.10\noptions ndots:5\n"
    assert servers(text) == ["10.96.0.10", "fd00::53"]


def test_a_zone_is_dropped_because_iptables_cannot_match_it() -> None:
    assert servers("nameserver fe80::1%eth0") == ["fe80::1"]


def test_what_libc_ignores_is_ignored() -> None:
    assert servers("# nameserver 1.1.1.1\nnameserver\nnameserver dns.example\nnameserver 10.0.0.1") == [
        "10.0.0.1"
    ]


def test_without_a_nameserver_libc_asks_this_machine() -> None:
    assert servers("") == ["127.0.0.1"]


def test_the_kernels_table_of_ipv6_addresses_is_read() -> None:
    text = (
        "00000000000000000000000000000001 01 80 10 80 lo\nfd000000000000000000000000000002 02 40 00 80 eth0\n"
    )
    assert [str(address) for address in ipv6_addresses(text)] == ["::1", "fd00::2"]
