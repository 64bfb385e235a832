"""Keeps connection tracking loaded, so that turning capture on or off resets nobody's session.

The kernel tracks connections only while some rule needs it, and rewrites addresses only while some NAT
chain exists. When the last of them goes, every connection that was captured loses its translation and is
reset, even if Envoy still serves it. So a table of our own mentions ``ct state`` and has an (empty) NAT
chain, from before the first capture until purge or reboot. It decides nothing about any packet.

Where nft(8) is missing, one rule in iptables' hardly used ``security`` table holds the tracking. On nf_tables
hosts the kernel is then asked without a tool for the table with the NAT chain (flavour legacy never loses its
own).
"""

import os
import shutil
from collections.abc import Sequence
from typing import Final, Literal

from vmagent.capture import command, nfnetlink, save
from vmagent.capture.flavour import SEARCH, Tools
from vmagent.capture.rule import Family
from vmagent.errors import Unavailable

TABLE: Final = "istio_agent_hold"
_TRANSLATE: Final = "translate"
_NAME: Final = "istio-agent-hold"
_SPEC: Final = f'-m conntrack --ctstate NEW -m comment --comment "{_NAME}"'
_NFT_FAMILY: Final[dict[Family, str]] = {"ipv4": "ip", "ipv6": "ip6"}

Kind = Literal["nft", "iptables", "none"]


def hold(tools: Tools, families: Sequence[Family], *, search: str = SEARCH) -> Kind:
    """Loads what is missing of it; what is there is left alone."""
    if nft := shutil.which("nft", path=search):
        try:
            _hold_nft(nft, families)
        except Unavailable:
            if tools.flavour == "nft":
                raise
        else:
            return "nft"
    try:
        for family in families:
            if tools.flavour == "nft":
                nfnetlink.add_nat_chain(family, TABLE, _TRANSLATE)
            _hold_iptables(tools.path(family))
    except Unavailable as error:
        command.log.warning(
            "cannot hold connection tracking: %s; removal will reset captured sessions", error
        )
        return "none"
    return "iptables"


def release(tools: Tools, families: Sequence[Family], *, search: str = SEARCH) -> None:
    """For purge only."""
    for family in families:
        if tools.flavour == "nft" or shutil.which("nft", path=search):
            nfnetlink.drop_table(family, TABLE)
        if tool := tools.path(family):
            for spec in _held(tool):
                _restore(tool, f"-D OUTPUT {spec}")


def _hold_nft(nft: str, families: Sequence[Family]) -> None:
    present = command.run([nft, "list", "tables"]).split("\n")
    text = "".join(
        _script(_NFT_FAMILY[family])
        for family in families
        if f"table {_NFT_FAMILY[family]} {TABLE}" not in present
    )
    if text:
        command.run([nft, "-f", "-"], text=text)


def _script(family: str) -> str:
    """Priorities after everybody else's: the table looks, and never comes between two rules of others."""
    last = "hook output priority 300 ; policy accept ;"
    return "\n".join(
        (
            f"add table {family} {TABLE}",
            f"add chain {family} {TABLE} track {{ type filter {last} }}",
            f"add chain {family} {TABLE} {_TRANSLATE} {{ type nat {last} }}",
            f'add rule {family} {TABLE} track ct state new comment "keeps sessions alive; safe to leave"',
            "",
        )
    )


def _hold_iptables(tool: str) -> None:
    if not _held(tool):
        _restore(tool, f"-A OUTPUT {_SPEC}")


def _held(tool: str) -> tuple[str, ...]:
    """Our rule as printed; asking creates no table."""
    output = save.parse(command.run([f"{tool}-save"])).get("security", {}).get("OUTPUT")
    return tuple(spec for spec in output.rules if _NAME in spec) if output else ()


def _restore(tool: str, line: str) -> None:
    wait = [] if os.path.basename(tool).endswith("-nft") else ["--wait=30"]
    command.run([f"{tool}-restore", "--noflush", *wait], text=f"*security\n{line}\nCOMMIT\n")
