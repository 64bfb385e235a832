"""Addresses of 240.240.0.0/16, each with one of IPv6, for services that have none: Istio's three generations,
as pure arithmetic.

Owns:      which service gets which address, and which proxy may be told.
Does not:  write them anywhere: listeners, routes and the name table read them from the registry.
Surprise:  the three agree on the first service of a mesh (240.240.0.1), which is all that most stories see.
           After it they differ: sequential (Istio 1.10, the documents) numbers the services in list order, so
           one that is added in front moves every other; hash (up to 1.24) spreads them over the range; next
           free (since 1.25) keeps what was once handed out. Next free is the default: it is what the
           recordings show, and an address that an application has cached does not move.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.controlplane.kinds.service_entry import Resolution, ServiceEntry
from lab.controlplane.mesh import Allocation, Mesh
from lab.controlplane.proxy import Proxy

RANGE: Final = ipaddress.IPv4Network("240.240.0.0/16")
RANGE6: Final = ipaddress.IPv6Network("2001:2::/48")
_HASHED6: Final = "2001:2::f0f0:"

OPT_OUT: Final = "networking.istio.io/enable-autoallocate-ip"

_SEQUENTIAL_END: Final = 255 * 255
"""Istio 1.10 gave up at this position of the counter."""

_SLOTS: Final = 256 * 254
"""Size of the hash table of the second generation."""
_PROBE_SLOTS: Final = _SLOTS - 1
"""What a probe after a collision is reduced by: one less than the table, in every release."""
_PROBE_PRIME: Final = 65011
"""The prime of its second hash."""
_UINT32: Final = 2**32

ServiceKey = tuple[str, str, str]
"""Namespace, name of the ServiceEntry, host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leases:
    """What next-free allocation remembers: who holds which address, and where the search goes on."""

    held: Mapping[ServiceKey, str] = field(default_factory=dict)
    last: int = 0
    """Offset into the range of the address handed out last; 0 is the network itself and never handed out."""


def may_use(proxy: Proxy, mesh: Mesh) -> bool:
    """Whether this proxy is told allocated addresses: only one that resolves names itself can use them."""
    return proxy.dns_capture and (proxy.dns_auto_allocate or mesh.ip_autoallocate)


def wants_address(entry: ServiceEntry, host: str) -> bool:
    """No address of its own, a host that is one name, a resolution that finds endpoints without it."""
    opted_out = entry.metadata.labels.get(OPT_OUT) == "false"
    return not (entry.addresses or host.startswith("*") or entry.resolution is Resolution.NONE or opted_out)


def allocate(
    entries: Iterable[ServiceEntry], leases: Leases, how: Allocation
) -> tuple[Mapping[ServiceKey, str], tuple[str, ...]]:
    """Who has which address, and a line for each host that should have one and found none left."""
    keys = wanting(entries)
    match how:
        case Allocation.NEXT_FREE:
            given: Mapping[ServiceKey, str] = {key: leases.held[key] for key in keys if key in leases.held}
        case Allocation.SEQUENTIAL:
            given = sequential(keys)
        case Allocation.HASH:
            given = hashed(keys)
    left_out = [key for key in keys if key not in given]
    return given, tuple(
        f"ServiceEntry {namespace}/{name}: {host} gets no address: {len(given)} services have one and "
        f"{RANGE} has no more for this allocation"
        for namespace, name, host in left_out
    )


def wanting(entries: Iterable[ServiceEntry]) -> list[ServiceKey]:
    """Oldest first, then by name, so that the order in which files were read says nothing."""
    return [
        (entry.metadata.namespace, entry.metadata.name, host)
        for entry in sorted(entries, key=_age)
        for host in entry.hosts
        if wants_address(entry, host)
    ]


def claim(entry: ServiceEntry) -> tuple[object, ...]:
    """All of an entry that the allocation looks at: while this stays, everybody's address does."""
    opted_out = entry.metadata.labels.get(OPT_OUT)
    return _age(entry), entry.hosts, entry.addresses, entry.resolution, opted_out, dict(entry.given)


def _age(entry: ServiceEntry) -> tuple[str, str, str]:
    return entry.metadata.created, entry.metadata.namespace, entry.metadata.name


def sequential(keys: Iterable[ServiceKey]) -> dict[ServiceKey, str]:
    """First generation: number the services in list order; a last octet of 0 is skipped. Who comes after the
    last address gets none: nothing wraps."""
    given: dict[ServiceKey, str] = {}
    position = 0
    for key in keys:
        position += 1
        if position % 255 == 0:
            position += 1
        if position >= _SEQUENTIAL_END:
            break
        given[key] = _at(position)
    return given


def hashed(keys: Iterable[ServiceKey]) -> dict[ServiceKey, str]:
    """Second generation: FNV-1a of namespace/host chooses a slot, its place among all slots the address."""
    slots = _slots(list(keys))
    given: dict[ServiceKey, str] = {}
    by_name: dict[str, str] = {}
    shift = 0
    for slot in sorted(slots):
        key = slots[slot]
        if (slot + 1 + shift) % 255 == 0:
            shift += 1
        given[key] = by_name.setdefault(_hash_name(key), _at(slot + 1 + shift))
    return given


def renew(entries: Iterable[ServiceEntry], leases: Leases) -> Leases:
    """Third generation: who has an address keeps it, who is new gets the next free one.

    What a document brings in its status is kept too, as long as nobody else has it. Who finds the range full
    gets none.
    """
    entries = list(entries)
    keys = wanting(entries)
    written = {address for entry in entries for address in entry.addresses}
    # An address that somebody wrote down wins over one that was handed out.
    held = {key: leases.held[key] for key in keys if key in leases.held and leases.held[key] not in written}
    taken = written | set(held.values())
    brought = {(entry.metadata.namespace, entry.metadata.name): entry.given for entry in entries}
    for key in keys:
        address = brought[key[:2]].get(key[2], "")
        if key not in held and address and address not in taken and ipaddress.ip_address(address) in RANGE:
            held[key] = address
            taken.add(address)
    last = leases.last
    for key in keys:
        if key not in held:
            offset = _next_free(last, taken)
            if offset is None:
                break
            last = offset
            held[key] = str(RANGE[last])
            taken.add(held[key])
    return Leases(held={key: held[key] for key in keys if key in held}, last=last)


def both(given: str, how: Allocation) -> tuple[str, ...]:
    """The address of IPv4, and the one of IPv6 that goes with it. The first generation knew none. The third
    counts in two ranges, which go in step as long as nobody writes an address of theirs down.
    """
    _, _, third, fourth = ipaddress.IPv4Address(given).packed
    match how:
        case Allocation.SEQUENTIAL:
            return (given,)
        case Allocation.HASH:
            # Without padding, as istiod writes it.
            twin = f"{_HASHED6}{third:x}{fourth:x}" if third else f"{_HASHED6}{fourth:x}"
            return given, str(ipaddress.IPv6Address(twin))
        case Allocation.NEXT_FREE:
            return given, str(RANGE6[int(ipaddress.IPv4Address(given)) - int(RANGE.network_address)])


def status(entry: ServiceEntry, leases: Leases) -> list[dict[str, str]]:
    """``status.addresses`` of a ServiceEntry, as Istio's allocation controller writes it."""
    about = entry.metadata
    held = ((host, leases.held.get((about.namespace, about.name, host))) for host in entry.hosts)
    return [
        {"host": host, "value": value}
        for host, address in held
        if address
        for value in both(address, Allocation.NEXT_FREE)
    ]


def _next_free(last: int, taken: set[str]) -> int | None:
    usable = RANGE.num_addresses - 2  # neither the network nor its broadcast address
    if len(taken) < usable:
        for step in range(usable):
            offset = (last + step) % usable + 1
            if str(RANGE[offset]) not in taken:
                return offset
    return None


def _slots(keys: list[ServiceKey]) -> dict[int, ServiceKey]:
    slots: dict[int, ServiceKey] = {}
    for key in keys[: _PROBE_SLOTS - 1]:
        slots[next(slot for slot in _probes(_hash_name(key)) if slot not in slots)] = key
    return slots


def _probes(name: str) -> Iterator[int]:
    first = _fnv1a(name.encode())
    yield first % _SLOTS
    stride = _PROBE_PRIME - first % _PROBE_PRIME
    turn = 1
    while True:
        yield (first + turn * stride) % _UINT32 % _PROBE_SLOTS
        turn += 1


def _hash_name(key: ServiceKey) -> str:
    namespace, _, host = key
    return f"{namespace}/{host}"


def _fnv1a(data: bytes) -> int:
    """FNV-1a, 32 bits (its published offset basis and prime)."""
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 % _UINT32
    return value


def _at(position: int) -> str:
    third, fourth = divmod(position, 255)
    return f"240.240.{third}.{fourth}"
