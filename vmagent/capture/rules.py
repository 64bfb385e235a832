"""The rules, in the order and with the names that current Istio writes them.

Owns:      which rule stands where. Pure: one family at a time, in go values, out come rules.
Does not:  know iptables-restore (plan.py), what the host has now (diff.py), or how it gets there
           (backend_*.py).
Surprise:  order is meaning. Everything that must not be captured returns early; the redirect of "the rest"
           comes last. Two things differ from Istio on purpose: every TCP redirect takes new connections
           only (``--syn``), so that turning capture on or off resets no session that already exists; and
           every rule carries its name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vmagent.capture.config import ALL, DNS_PORT, CaptureConfig
from vmagent.capture.rule import Family, Rule

LOCAL: Final = "-m addrtype --dst-type LOCAL"
"""What is for this machine, and not what it forwards for its containers. Istio, made for pods, has no such
match."""

APP_ZONE: Final = 2
PROXY_ZONE: Final = 1
"""Conntrack zones of a UDP DNS query: app ↔ agent, and agent ↔ resolver. In one zone the two flows can
share a tuple, and the second would silently skip NAT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """One family's words for the same things."""

    family: Family
    version: int
    loopback: str
    passthrough: str
    """Source address of Envoy's own connections to the application it has accepted a connection for."""
    nameservers: tuple[str, ...]
    """Resolvers of this family whose queries are captured."""


def rules(config: CaptureConfig, net: Net) -> tuple[Rule, ...]:
    return (
        *_interfaces(config),
        *_drop_invalid(config),
        *_inbound(config),
        Rule(table="nat", chain="OUTPUT", name="outbound", jump="ISTIO_OUTPUT"),
        *_excluded_outbound_ports(config),
        _output("from-envoy-to-app", f"-s {net.passthrough} -o lo", "RETURN"),
        *_own_traffic(config, net),
        *_groups(config),
        *_dns(config, net),
        _output("loopback", f"-d {net.loopback}", "RETURN"),
        *_destinations(config, net),
    )


def names_alone(config: CaptureConfig, net: Net) -> tuple[Rule, ...]:
    """For a family in which Envoy does not listen: questions to its resolvers go to the agent, and nothing
    else is touched. Empty if there is none to ask.
    """
    if not config.dns or not (config.dns_all or net.nameservers):
        return ()
    owners = [("uid", owner) for owner in config.uids] + [("gid", owner) for owner in config.gids]
    return (
        Rule(table="nat", chain="OUTPUT", name="outbound", jump="ISTIO_OUTPUT"),
        *(
            _output(f"own-traffic-{kind}-{owner}", f"-m owner --{kind}-owner {owner}", "RETURN")
            for kind, owner in owners
        ),
        *_groups(config),
        *_dns(config, net),
    )


def _output(name: str, match: str, jump: str) -> Rule:
    return Rule(table="nat", chain="ISTIO_OUTPUT", name=name, match=match, jump=jump)


def _interfaces(config: CaptureConfig) -> Iterator[Rule]:
    for name in config.interfaces_exclude:
        label = f"exclude-interface-{name}"
        yield Rule(table="nat", chain="PREROUTING", name=label, match=f"-i {name}", jump="RETURN")
        yield Rule(table="nat", chain="OUTPUT", name=label, match=f"-o {name}", jump="RETURN")


def _drop_invalid(config: CaptureConfig) -> Iterator[Rule]:
    if config.drop_invalid:
        match = "-m conntrack --ctstate INVALID"
        yield Rule(table="mangle", chain="PREROUTING", name="invalid", match=match, jump="ISTIO_DROP")
        yield Rule(table="mangle", chain="ISTIO_DROP", name="drop-invalid", jump="DROP")


def _inbound(config: CaptureConfig) -> Iterator[Rule]:
    def inbound(name: str, match: str, jump: str) -> Rule:
        return Rule(table="nat", chain="ISTIO_INBOUND", name=name, match=match, jump=jump)

    def redirect(chain: str, name: str, port: int) -> Rule:
        syn = "-p tcp -m tcp --syn"
        return Rule(table="nat", chain=chain, name=name, match=syn, jump=f"REDIRECT --to-ports {port}")

    yield inbound("tunnel", f"-p tcp -m tcp --dport {config.tunnel_port}", "RETURN")
    yield redirect("ISTIO_REDIRECT", "to-envoy-outbound", config.outbound_port)
    yield redirect("ISTIO_IN_REDIRECT", "to-envoy-inbound", config.inbound_port)
    if not config.inbound:
        return
    yield Rule(table="nat", chain="PREROUTING", name="inbound", match=f"-p tcp {LOCAL}", jump="ISTIO_INBOUND")
    if config.inbound == ALL:
        for port in config.inbound_exclude:
            yield inbound(f"exclude-inbound-{port}", f"-p tcp -m tcp --dport {port}", "RETURN")
        yield inbound("inbound-all", "-p tcp", "ISTIO_IN_REDIRECT")
        return
    for port in config.inbound:
        yield inbound(f"inbound-{port}", f"-p tcp -m tcp --dport {port}", "ISTIO_IN_REDIRECT")


def _excluded_outbound_ports(config: CaptureConfig) -> Iterator[Rule]:
    for port in config.outbound_ports_exclude:
        for protocol in ("tcp", "udp"):
            match = f"-p {protocol} -m {protocol} --dport {port}"
            yield _output(f"exclude-outbound-{port}", match, "RETURN")


def _own_traffic(config: CaptureConfig, net: Net) -> Iterator[Rule]:
    """Three rules per owner: Envoy calling this machine by its own address goes in through Envoy's front
    door; applications talking over loopback are left alone; Envoy and the agent reach the world directly."""
    apps = "-p tcp -m tcp ! --dport 53 " if config.dns else ""
    loopback_captured = config.networks != ALL and any(network.is_loopback for network in config.networks)
    owners = [("uid", owner) for owner in config.uids] + [("gid", owner) for owner in config.gids]
    for kind, owner in owners:
        ports = f"-m tcp ! --dport {config.tunnel_port}"
        if config.dns and kind == "uid":
            ports = f"-m multiport ! --dports 53,{config.tunnel_port}"
        own = f"-m owner --{kind}-owner {owner}"
        yield _output(
            f"own-address-{kind}-{owner}",
            f"! -d {net.loopback} -o lo -p tcp {ports} {own}",
            "ISTIO_IN_REDIRECT",
        )
        if not loopback_captured:
            others = f"-o lo {apps}-m owner ! --{kind}-owner {owner}"
            yield _output(f"apps-on-loopback-{kind}-{owner}", others, "RETURN")
        yield _output(f"own-traffic-{kind}-{owner}", own, "RETURN")


def _groups(config: CaptureConfig) -> Iterator[Rule]:
    if config.groups == ALL:
        for gid in config.groups_exclude:
            yield _output(f"exclude-group-{gid}", f"-m owner --gid-owner {gid}", "RETURN")
        return
    match = " ".join(f"-m owner ! --gid-owner {gid}" for gid in config.groups)
    yield _output("other-groups", match, "RETURN")


def _dns(config: CaptureConfig, net: Net) -> Iterator[Rule]:
    if not config.dns:
        return
    everywhere: tuple[str, ...] = ("",)
    servers = everywhere if config.dns_all else net.nameservers
    width = 32 if net.version == 4 else 128

    def to(server: str) -> str:
        return f"-d {server}/{width} " if server else ""

    yield Rule(table="raw", chain="OUTPUT", name="dns-zones", jump="ISTIO_OUTPUT_DNS")
    if servers:
        yield _output("dns", "", "ISTIO_OUTPUT_DNS")
    for protocol, syn in (("tcp", " --syn"), ("udp", "")):
        for server in servers:
            match = f"{to(server)}-p {protocol} -m {protocol} --dport 53{syn}"
            jump = f"REDIRECT --to-ports {DNS_PORT}"
            yield Rule(table="nat", chain="ISTIO_OUTPUT_DNS", name=f"dns-{protocol}", match=match, jump=jump)
    yield from _zones(config, servers, to)


def _zones(config: CaptureConfig, servers: tuple[str, ...], to: Callable[[str], str]) -> Iterator[Rule]:
    def zone(chain: str, name: str, match: str, number: int) -> Rule:
        return Rule(table="raw", chain=chain, name=name, match=match, jump=f"CT --zone {number}")

    owners = [("uid", owner) for owner in config.uids] + [("gid", owner) for owner in config.gids]
    for kind, owner in owners:
        own = f"-m owner --{kind}-owner {owner}"
        asked, answered = f"-p udp -m udp --dport 53 {own}", f"-p udp -m udp --sport {DNS_PORT} {own}"
        yield zone("ISTIO_OUTPUT_DNS", f"agent-asks-resolver-{kind}-{owner}", asked, PROXY_ZONE)
        yield zone("ISTIO_OUTPUT_DNS", f"agent-answers-app-{kind}-{owner}", answered, APP_ZONE)
    if servers:
        yield Rule(table="raw", chain="PREROUTING", name="dns-replies", jump="ISTIO_INBOUND")
    for server in servers:
        yield zone("ISTIO_OUTPUT_DNS", "app-asks", f"{to(server)}-p udp -m udp --dport 53", APP_ZONE)
        source = to(server).replace("-d ", "-s ")
        yield zone("ISTIO_INBOUND", "resolver-answers", f"{source}-p udp -m udp --sport 53", PROXY_ZONE)


def _destinations(config: CaptureConfig, net: Net) -> Iterator[Rule]:
    for network in config.networks_exclude:
        if network.version == net.version:
            yield _output("exclude-network", f"-d {network}", "RETURN")
    for port in config.outbound_ports:
        yield _output(f"outbound-{port}", f"-p tcp -m tcp --dport {port}", "ISTIO_REDIRECT")
    if config.networks == ALL:
        yield _output("outbound-all", "", "ISTIO_REDIRECT")
        return
    for network in config.networks:
        if network.version == net.version:
            yield _output("outbound-network", f"-d {network}", "ISTIO_REDIRECT")
