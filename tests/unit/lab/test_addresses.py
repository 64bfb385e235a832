import pytest

from lab.controlplane import addresses
from lab.controlplane.addresses import Leases, OutOfAddresses, ServiceKey
from lab.controlplane.kinds.metadata import Metadata
from lab.controlplane.kinds.service_entry import Protocol, Resolution, ServiceEntry, ServicePort
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


def test_sequential_ends_where_istio_ended() -> None:
    with pytest.raises(OutOfAddresses):
        addresses.sequential([key(f"h{n}") for n in range(255 * 255)])


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
    given = {how: list(addresses.allocate(entries, leases, how).values()) for how in Allocation}
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
