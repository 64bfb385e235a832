"""What istio-iptables calls its settings, as values that cannot be wrong.

Owns:      the names, aliases and defaults of the capture settings, and the one error that lists every bad
           value.
Does not:  find the files (config/), look at the host (host.py), or write rules (rules.py).
Surprise:  uid and gid come from the user database. Istio falls back to 1337 and to "gid = the uid's
           number"; here an unknown user is an error, because a wrong owner sends Envoy's own traffic back
           into Envoy.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from vmagent.capture.values import (
    Network,
    boolean,
    flavour,
    interfaces,
    items,
    loopback,
    networks,
    port,
    ports,
)
from vmagent.errors import Misconfigured

T = TypeVar("T")

ALL: Final = "*"
Every = Literal["*"]

DNS_PORT: Final = 15053
"""Where the agent's DNS proxy listens. A constant in Istio's rules as well."""

MAX_OWNER_GROUPS: Final = 64
"""Istio's limit: all groups stand in one rule, and a rule has room for about that many owner matches."""


class Accounts(Protocol):
    """The user database (host.py)."""

    def user(self, who: str) -> tuple[int, int] | None:
        """uid and primary gid of a user name or a uid; None if there is no such user."""
        ...

    def group(self, who: str) -> int | None:
        """gid of a group name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureConfig:
    """Ports are written as iptables reads them: ``80`` or ``8000:9000``. An empty include list captures
    nothing.
    """

    left_alone: str
    """Why no rule is written, a sentence; empty: they are."""
    outbound_port: int
    inbound_port: int
    tunnel_port: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    inbound: tuple[str, ...] | Every
    inbound_exclude: tuple[str, ...]
    networks: tuple[Network, ...] | Every
    networks_exclude: tuple[Network, ...]
    outbound_ports: tuple[str, ...]
    outbound_ports_exclude: tuple[str, ...]
    interfaces_exclude: tuple[str, ...]
    groups: tuple[int, ...] | Every
    groups_exclude: tuple[int, ...]
    loopback: ipaddress.IPv4Network
    dns: bool
    dns_all: bool
    drop_invalid: bool
    dual_stack: bool
    flavour: Literal["", "nft", "legacy"]


ALIASES: Final = {
    "ISTIO_META_DNS_CAPTURE": ("ISTIO_META_DNS_CAPTURE", "REDIRECT_DNS"),
    "DROP_INVALID": ("INVALID_DROP", "DROP_INVALID"),
    "ISTIO_DUAL_STACK": ("ISTIO_DUAL_STACK", "DUAL_STACK"),
}
"""Settings with two names: the first that is set counts, since Istio's extra names beat the derived ones."""


def parse(
    env: Mapping[str, str], accounts: Accounts, origins: Mapping[str, str] | None = None
) -> CaptureConfig:
    """All problems at once, in one Misconfigured. ``origins`` says for the message which file a key came
    from.
    """
    read = _Reader(env, origins or {})
    read("ISTIO_INBOUND_INTERCEPTION_MODE", "REDIRECT", _mode)
    read("KUBE_VIRT_INTERFACES", "", _not_on_a_vm)
    read("NATIVE_NFTABLES", "false", _iptables_only)
    left_alone = _left_alone(read)
    uids, gids = ((), ()) if left_alone else _owners(read, accounts)
    config = CaptureConfig(
        left_alone=left_alone,
        outbound_port=read("ENVOY_PORT", "15001", port),
        inbound_port=read("INBOUND_CAPTURE_PORT", "15006", port),
        tunnel_port=read("INBOUND_TUNNEL_PORT", "15008", port),
        uids=uids,
        gids=gids,
        inbound=read("ISTIO_INBOUND_PORTS", "", _all_or(ports)),
        inbound_exclude=read("ISTIO_LOCAL_EXCLUDE_PORTS", "", ports),
        networks=read("ISTIO_SERVICE_CIDR", "", _all_or(networks)),
        networks_exclude=read("ISTIO_SERVICE_EXCLUDE_CIDR", "", networks),
        outbound_ports=read("ISTIO_OUTBOUND_PORTS", "", ports),
        outbound_ports_exclude=read("ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE", "", ports),
        interfaces_exclude=read("ISTIO_EXCLUDE_INTERFACES", "", interfaces),
        groups=read("ISTIO_OUTBOUND_OWNER_GROUPS", ALL, _all_or(lambda text: _few(_gids(text, accounts)))),
        groups_exclude=read("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "", lambda text: _gids(text, accounts)),
        loopback=read("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.1/32", loopback),
        dns=read("ISTIO_META_DNS_CAPTURE", "false", boolean),
        dns_all=read("CAPTURE_ALL_DNS", "false", boolean),
        drop_invalid=read("DROP_INVALID", "false", boolean),
        dual_stack=read("ISTIO_DUAL_STACK", "false", boolean),
        flavour=read("FORCE_IPTABLES_BINARY", "", flavour),
    )
    read.finish()
    return config


class _Reader:
    """Reads setting after setting and keeps what was wrong, so that one run names every mistake."""

    def __init__(self, env: Mapping[str, str], origins: Mapping[str, str]) -> None:
        self._env = env
        self._origins = origins
        self._problems: list[str] = []

    def __call__(self, key: str, default: str, convert: Callable[[str], T]) -> T:
        """The value; for a bad one its default, which ``finish`` keeps from ever being used."""
        key = next((name for name in ALIASES.get(key, ()) if name in self._env), key)
        text = self._env.get(key, default)
        if not text.strip() and key != "ISTIO_OUTBOUND_OWNER_GROUPS":  # empty there means: nobody
            text = default
        try:
            return convert(text.strip())
        except ValueError as why:
            self.problem(key, text, str(why))
            return convert(default)

    def problem(self, key: str, text: str, why: str) -> None:
        origin = self._origins.get(key)
        self._problems.append(f"{f'{origin}: ' if origin else ''}{key}={text!r}: {why}")

    def get(self, key: str) -> str:
        return self._env.get(key, "").strip()

    def finish(self) -> None:
        if self._problems:
            raise Misconfigured(
                "; ".join(self._problems),
                hint="edit these settings; `vmagent capture plan` shows what they would do",
            )


def _all_or(convert: Callable[[str], T]) -> Callable[[str], T | Every]:
    return lambda text: ALL if text == ALL else convert(text)


def _mode(text: str) -> str:
    if text == "TPROXY":
        raise ValueError("TPROXY is not supported yet; write REDIRECT")
    if text not in ("", "REDIRECT", "NONE"):
        raise ValueError("expected REDIRECT")
    if text == "NONE":
        raise ValueError("to capture nothing, leave ISTIO_INBOUND_PORTS empty instead of writing NONE")
    return text


def _iptables_only(text: str) -> bool:
    if boolean(text):
        raise ValueError("writing rules with nft is not supported yet; remove the setting")
    return False


def _not_on_a_vm(text: str) -> str:
    if text:
        raise ValueError("interfaces of KubeVirt guests exist in pods only; remove the setting")
    return text


def _left_alone(read: _Reader) -> str:
    """A router's control plane sends no listener on 15001 and 15006: a redirect would lead nowhere."""
    if read("ISTIO_CUSTOM_IP_TABLES", "false", boolean):
        return "ISTIO_CUSTOM_IP_TABLES is true: the rules are yours, none are written"
    if read.get("VMAGENT_ROLE") == "router":
        return "this is a router: it has ports of its own, no traffic is redirected to it"
    return ""


def _owners(read: _Reader, accounts: Accounts) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """uids and gids whose traffic is Envoy's and the agent's own."""
    users = items(read.get("PROXY_UID"))
    key = "PROXY_UID" if users else "ENVOY_USER"
    users = users or (read.get("ENVOY_USER") or "istio-proxy",)
    found = {who: accounts.user(who) for who in users}
    for who, ids in found.items():
        if ids is None and (key == "ENVOY_USER" or not who.isdigit()):
            read.problem(
                key, who, "no such user; create it (systemd-sysusers) or write the user Envoy runs as"
            )
    uids = tuple(ids[0] if ids else int(who) for who, ids in found.items() if ids or who.isdigit())
    if read.get("PROXY_GID"):
        return uids, read("PROXY_GID", "", lambda text: _gids(text, accounts))
    for who, ids in found.items():
        if ids is None and key == "PROXY_UID" and who.isdigit():
            read.problem("PROXY_GID", "", f"uid {who} is in no user database; write the gid Envoy runs with")
    return uids, tuple(dict.fromkeys(ids[1] for ids in found.values() if ids))


def _gids(text: str, accounts: Accounts) -> tuple[int, ...]:
    return tuple(_gid(item, accounts) for item in items(text))


def _gid(item: str, accounts: Accounts) -> int:
    if item.isascii() and item.isdigit():
        return int(item)
    gid = accounts.group(item)
    if gid is None:
        raise ValueError(f"there is no group {item!r}; write group names or numbers")
    return gid


def _few(gids: tuple[int, ...]) -> tuple[int, ...]:
    if len(gids) > MAX_OWNER_GROUPS:
        raise ValueError(f"{len(gids)} groups are too many; write at most {MAX_OWNER_GROUPS}")
    return gids
