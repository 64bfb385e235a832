from dataclasses import replace

import pytest

from lab.controlplane import addresses
from lab.controlplane.addresses import Leases, ServiceKey
from lab.controlplane.kinds.metadata import Metadata
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.kinds.service_entry import Resolution, ServiceEntry, ServicePort
from lab.controlplane.mesh import Allocation, Mesh
from lab.controlplane.proxy import Proxy
from tests.unit.lab.story import node


def key(host: str, namespace: str = "ns") -> ServiceKey:
    return (namespace, host, host)


def entry(
    host: str,
    *,
    resolution: Resolution = Resolution.STATIC,
    own: tuple[str, ...] = (),
    labels: dict[str, str] | None = None,
) -> ServiceEntry:
    return ServiceEntry(
        metadata=Metadata(name=host, namespace="ns", labels=labels or {}),
        hosts=(host,),
        ports=(ServicePort(number=80, name="http", protocol=Protocol.HTTP, target=80),),
        addresses=own,
        resolution=resolution,
    )


def renewed(hosts: list[str], leases: Leases | None = None) -> Leases:
    return addresses.renew([entry(host) for host in hosts], leases or Leases())


def held(leases: Leases) -> dict[str, str]:
    return {host: address for (_, _, host), address in leases.held.items()}


def test_sequential_numbers_services_in_list_order_as_istio_1_10() -> None:
    given = addresses.sequential([key("xxx.jd.com"), key("nginx.jd.com")])
    assert list(given.values()) == ["240.240.0.1", "240.240.0.2"]


def test_sequential_skips_a_last_octet_of_zero() -> None:
    given = list(addresses.sequential([key(f"h{n}") for n in range(600)]).values())
    assert given[253:256] == ["240.240.0.254", "240.240.1.1", "240.240.1.2"]
    assert len(set(given)) == 600
    assert not any(address.endswith(".0") for address in given)


def test_sequential_ends_where_istio_ended_and_wraps_nowhere() -> None:
    keys = [key(f"h{n}") for n in range(255 * 255)]
    given = addresses.sequential(keys)
    # 254 for each of 254 whole third octets, and 254 of the last one: position 255 * 255 is never reached.
    assert len(given) == 254 * 255
    assert list(given.values())[-1] == "240.240.254.254"
    assert len(set(given.values())) == len(given)
    assert keys[len(given)] not in given


def test_who_comes_after_the_last_address_is_named_and_the_others_keep_theirs() -> None:
    hosts = tuple(f"h{n}.example" for n in range(254 * 255 + 1))
    crowd = replace(entry("crowd"), hosts=hosts)
    given, problems = addresses.allocate([crowd], Leases(), Allocation.SEQUENTIAL)
    assert len(given) == 254 * 255
    assert problems == (
        f"ServiceEntry ns/crowd: {hosts[-1]} gets no address: 64770 services have one and 240.240.0.0/16 "
        "has no more for this allocation",
    )


@pytest.mark.parametrize("how", list(Allocation))
def test_two_control_planes_with_equal_files_give_equal_addresses_however_they_read_them(
    how: Allocation,
) -> None:
    entries = [entry(f"h{n}.example") for n in range(20)]
    orders = (entries, entries[::-1], entries[7:] + entries[:7])
    given = [addresses.allocate(order, addresses.renew(order, Leases()), how)[0] for order in orders]
    assert given[0] == given[1] == given[2]


def test_the_older_document_comes_first_whatever_its_name() -> None:
    old = replace(entry("z"), metadata=Metadata(name="z", namespace="ns", created="2021-05-21T00:00:00Z"))
    new = replace(entry("a"), metadata=Metadata(name="a", namespace="ns", created="2021-05-22T00:00:00Z"))
    given, _ = addresses.allocate([new, old], Leases(), Allocation.SEQUENTIAL)
    assert {host: address for (_, _, host), address in given.items()} == {
        "z": "240.240.0.1",
        "a": "240.240.0.2",
    }


def test_what_a_document_brings_in_its_status_stays_its_own() -> None:
    kept = replace(entry("b"), given={"b": "240.240.7.7"})
    assert held(addresses.renew([entry("a"), kept], Leases())) == {"a": "240.240.0.1", "b": "240.240.7.7"}


def test_a_status_that_claims_an_address_of_somebody_else_counts_for_nothing() -> None:
    first = renewed(["a"])
    thief = replace(entry("b"), given={"b": "240.240.0.1"})
    assert held(addresses.renew([entry("a"), thief], first)) == {"a": "240.240.0.1", "b": "240.240.0.2"}


def test_next_free_leaves_who_finds_the_range_full_without_an_address() -> None:
    hosts = tuple(f"h{n}.example" for n in range(65535))
    leases = addresses.renew([replace(entry("crowd"), hosts=hosts)], Leases())
    assert len(leases.held) == 65534
    assert len(set(leases.held.values())) == 65534


def test_hashed_agrees_with_the_published_vectors() -> None:
    keys = [key(f"random-{n}.host.example", "ns2") for n in (1, 3)]
    assert list(addresses.hashed(keys).values()) in (
        ["240.240.116.21", "240.240.81.100"],
        ["240.240.81.100", "240.240.116.21"],
    )
    assert addresses.hashed(keys)[keys[0]] == "240.240.116.21"


def test_hashed_gives_every_service_an_address_of_its_own_however_many_collide() -> None:
    keys = [key(f"h{n}") for n in range(5000)]
    given = addresses.hashed(keys)
    assert len(set(given.values())) == 5000
    assert not any(address.endswith((".0", ".255")) for address in given.values())


def test_hashed_does_not_depend_on_order_while_nothing_collides() -> None:
    keys = [key(f"h{n}") for n in range(20)]
    assert addresses.hashed(keys) == addresses.hashed(keys[::-1])


def test_hashed_gives_one_address_to_one_host_that_two_documents_name() -> None:
    twice: list[ServiceKey] = [("ns", "a", "x.com"), ("ns", "b", "x.com")]
    assert len(set(addresses.hashed(twice).values())) == 1


def test_next_free_starts_at_the_first_address_of_the_range() -> None:
    assert held(renewed(["nginx.jd.com"])) == {"nginx.jd.com": "240.240.0.1"}


def test_next_free_never_moves_what_was_handed_out() -> None:
    before = renewed(["b"])
    after = renewed(["a", "b"], before)
    assert held(after) == {"a": "240.240.0.2", "b": "240.240.0.1"}


def test_next_free_does_not_give_a_returned_address_to_the_next_who_asks() -> None:
    leases = renewed(["a", "b"])
    leases = renewed(["b"], leases)
    leases = renewed(["b", "c"], leases)
    assert held(leases) == {"b": "240.240.0.2", "c": "240.240.0.3"}


def test_next_free_comes_round_when_the_range_ends() -> None:
    leases = renewed(["a", "b"], Leases(last=65533))
    assert held(leases) == {"a": "240.240.255.254", "b": "240.240.0.1"}


def test_an_address_somebody_wrote_down_wins_over_one_handed_out() -> None:
    before = renewed(["a"])
    after = addresses.renew([entry("a"), entry("b", own=("240.240.0.1",))], before)
    assert held(after) == {"a": "240.240.0.2"}


def test_the_three_generations_agree_on_the_first_service_but_for_the_hash() -> None:
    entries, leases = [entry("nginx.jd.com")], renewed(["nginx.jd.com"])
    given = {how: list(addresses.allocate(entries, leases, how)[0].values()) for how in Allocation}
    assert given[Allocation.NEXT_FREE] == given[Allocation.SEQUENTIAL] == ["240.240.0.1"]
    assert given[Allocation.HASH] != ["240.240.0.1"]


@pytest.mark.parametrize(
    "without",
    [
        entry("*.bar.com"),
        entry("bar.com", resolution=Resolution.NONE),
        entry("bar.com", own=("10.0.0.1",)),
        entry("bar.com", labels={addresses.OPT_OUT: "false"}),
    ],
    ids=["wildcard", "original destination", "own address", "opted out"],
)
def test_who_cannot_or_will_not_use_one_gets_no_address(without: ServiceEntry) -> None:
    assert addresses.wanting([without]) == []


@pytest.mark.parametrize(
    ("capture", "allocate", "switch", "told"),
    [
        ("true", "false", True, True),
        ("true", "true", False, True),
        ("true", "false", False, False),
        ("false", "true", True, False),
    ],
)
def test_only_a_proxy_that_captures_dns_is_told(
    capture: str, allocate: str, switch: bool, told: bool
) -> None:
    proxy = Proxy.parse(node(ip="10.0.0.1", name="x", DNS_CAPTURE=capture, DNS_AUTO_ALLOCATE=allocate))
    assert addresses.may_use(proxy, Mesh(ip_autoallocate=switch)) is told
