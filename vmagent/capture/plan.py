"""What would be written on this host: the rules of each family, and what an operator should know about them.

Pure. ``render`` gives the text that iptables-restore reads and that ``capture plan`` prints.
Does not:  know what the host has now; diff.py turns a plan into changes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vmagent.capture.config import ALL, CaptureConfig
from vmagent.capture.host import Host
from vmagent.capture.rule import TABLES, Family, Rule, chains
from vmagent.capture.rules import Net, names_alone, rules
from vmagent.errors import Misconfigured

PASSTHROUGH6: Final = "::6"
"""IPv6 twin of 127.0.0.6. Not covered by ::1/128, so it must exist on ``lo`` before Envoy can bind it."""


ONLY_IPV6: Final[frozenset[Family]] = frozenset({"ipv6"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    families: Mapping[Family, tuple[Rule, ...]]
    outbound_port: int
    notes: tuple[str, ...] = ()


def plan(config: CaptureConfig, host: Host, *, ip6tables: bool) -> Plan:
    """Raises Misconfigured if the settings ask for something that no rule of this host could do."""
    ipv6 = _wants_ipv6(config, host)
    nets = [_ipv4(config, host)]
    if ipv6 and ip6tables:
        nets.append(_ipv6(host))
    any_server = any(net.nameservers for net in nets)
    if config.dns and not config.dns_all and not any_server:
        raise Misconfigured(
            "ISTIO_META_DNS_CAPTURE='true': all nameservers in /etc/resolv.conf"
            f" ({_listed(host.nameservers)}) are IPv6, and IPv6 is not captured",
            hint="set ISTIO_DUAL_STACK=true, or name an IPv4 resolver in /etc/resolv.conf",
        )
    planned = {net.family: rules(config, net) for net in nets}
    if host.envoy == ONLY_IPV6:
        planned["ipv4"] = names_alone(config, nets[0])
    return Plan(
        families={family: written for family, written in planned.items() if written},
        outbound_port=config.outbound_port,
        notes=tuple(_notes(config, host, wants_ipv6=ipv6, ip6tables=ip6tables)),
    )


def _wants_ipv6(config: CaptureConfig, host: Host) -> bool:
    """Where Envoy listens already, that decides: not what it would if the addresses were all."""
    if not host.ipv6:
        return False
    if host.envoy:
        return "ipv6" in host.envoy and (config.dual_stack or "ipv4" not in host.envoy)
    return config.dual_stack or not host.ipv4


def _ipv4(config: CaptureConfig, host: Host) -> Net:
    return Net(
        family="ipv4",
        version=4,
        loopback=str(config.loopback),
        passthrough="127.0.0.6/32",
        nameservers=tuple(str(server) for server in host.nameservers if server.version == 4),
    )


def _ipv6(host: Host) -> Net:
    return Net(
        family="ipv6",
        version=6,
        loopback="::1/128",
        passthrough=f"{PASSTHROUGH6}/128",
        nameservers=tuple(str(server) for server in host.nameservers if server.version == 6),
    )


def _notes(config: CaptureConfig, host: Host, *, wants_ipv6: bool, ip6tables: bool) -> Iterator[str]:
    if not host.ipv6:
        pass
    elif not wants_ipv6 and config.dual_stack:
        yield (
            "IPv6 is not captured: Envoy listens on IPv4 only, although ISTIO_DUAL_STACK=true here"
            " (istiod needs that, too, and the machine an address of both that lasts)"
        )
    elif not wants_ipv6:
        yield (
            "IPv6 is not captured: the first address is IPv4, so Envoy listens on IPv4 only"
            " (ISTIO_DUAL_STACK=true captures both)"
        )
    elif not ip6tables:
        yield "IPv6 is not captured: there is no ip6tables on this host"
    if host.envoy == ONLY_IPV6 and host.ipv4:
        yield "IPv4 is not captured, but for questions for names: Envoy listens on IPv6 only"
    ipv6 = wants_ipv6 and ip6tables
    skipped = [server for server in host.nameservers if server.version == 6]
    if config.dns and not config.dns_all and skipped and not ipv6:
        yield f"DNS over IPv6 is not captured: {_listed(skipped)}"
    named = () if config.networks == ALL else config.networks
    if (networks := [net for net in (*named, *config.networks_exclude) if net.version == 6]) and not ipv6:
        yield f"these IPv6 networks have no effect: {_listed(networks)}"
    if config.inbound == ALL and not covers(config.inbound_exclude, 22):
        yield "SSH from outside is captured: port 22 is not in ISTIO_LOCAL_EXCLUDE_PORTS"


def covers(ports: Iterable[str], port: int) -> bool:
    """Whether ``80`` or ``8000:9000`` in the list contains the port."""
    for item in ports:
        low, _, high = item.partition(":")
        if int(low) <= port <= int(high or low):
            return True
    return False


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things))


def render(rules: Sequence[Rule]) -> str:
    """iptables-restore text for a host that has none of our chains."""
    lines: list[str] = []
    for table in TABLES:
        mine = [rule for rule in rules if rule.table == table]
        if mine:
            lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in chains(rules, table))]
            lines += [*(f"-A {rule.chain} {rule.spec}" for rule in mine), "COMMIT"]
    return "\n".join((*lines, ""))
