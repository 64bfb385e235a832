"""Which iptables this host uses: decided once, recorded in the manifest, kept until removal.

``iptables`` itself is asked for its version, because that is what the administrator, Docker and ufw use as
well. Neither flavour's rules are read for the decision: one read of a legacy table creates it, and counting
rules decides differently on the second start than on the first.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vmagent.capture import command
from vmagent.capture.rule import Family
from vmagent.errors import Misconfigured

SEARCH: Final = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
LEGACY_TABLES: Final = Path("/proc/net/ip_tables_names")
_OWN_NAME = re.compile(r"ip6?tables-(nft|legacy)")
_LINKS: Final = 8
"""Steps from /usr/sbin/iptables through /etc/alternatives; Debian has two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Paths as they were found; ``-save`` and ``-restore`` stand beside them. ``ip6tables`` is "" if there
    is none.
    """

    flavour: Literal["nft", "legacy"]
    iptables: str
    ip6tables: str
    version: str

    def path(self, family: Family) -> str:
        return self.iptables if family == "ipv4" else self.ip6tables

    def to_json(self) -> dict[str, str]:
        return {
            "flavour": self.flavour,
            "iptables": self.iptables,
            "ip6tables": self.ip6tables,
            "version": self.version,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> "Tools":
        return cls(
            flavour="nft" if value["flavour"] == "nft" else "legacy",
            iptables=value["iptables"],
            ip6tables=value["ip6tables"],
            version=value["version"],
        )


def detect(force: Literal["", "nft", "legacy"] = "", *, search: str = SEARCH) -> Tools:
    """Changes nothing, creates no table. ``force`` is FORCE_IPTABLES_BINARY; ``search`` is a PATH."""
    if why := obstacle(force, search=search):
        raise why
    suffix = f"-{force}" if force else ""
    iptables = _find(f"iptables{suffix}", search)
    version = command.run([iptables, "--version"]).strip()
    flavour: Literal["nft", "legacy"] = "nft" if "nf_tables" in version else "legacy"
    ip6tables = _find(f"ip6tables{suffix}", search)
    if ip6tables and ("nf_tables" in command.run([ip6tables, "--version"])) != (flavour == "nft"):
        ip6tables = ""  # the other flavour: its rules would not be where the host's others are
    return Tools(flavour=flavour, iptables=iptables, ip6tables=ip6tables, version=version)


def obstacle(force: Literal["", "nft", "legacy"] = "", *, search: str = SEARCH) -> Misconfigured | None:
    """Why no rule can be written on this host, if so: a look at names, quick enough to be repeated."""
    name = f"iptables-{force}" if force else "iptables"
    if shutil.which(name, path=search):
        return None
    if not force and shutil.which("nft", path=search):
        return Misconfigured(
            "this host has nft but no iptables, and rules can only be written by iptables as yet",
            hint="install it (Debian, Ubuntu: apt-get install iptables); nft and its rules stay as they are",
        )
    return Misconfigured(
        f"there is no {name} on this host (looked in {search})",
        hint="install it (Debian, Ubuntu: apt-get install iptables)",
    )


def others(tools: Tools, *, search: str = SEARCH) -> tuple[Tools, ...]:
    """The host's other flavour, if it is installed: where a lost manifest's rules may stand as well."""
    force: Literal["nft", "legacy"] = "legacy" if tools.flavour == "nft" else "nft"
    if not _find(f"iptables-{force}", search) or (force == "legacy" and not LEGACY_TABLES.exists()):
        return ()
    return (detect(force, search=search),)


def _find(name: str, search: str) -> str:
    """The tool under the name that fixes its flavour: the host may point ``iptables`` elsewhere before we
    remove.
    """
    found = shutil.which(name, path=search)
    path = found or ""
    for _ in range(_LINKS):
        if not path or _OWN_NAME.fullmatch(os.path.basename(path)):
            break
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:
            return found or ""
    fixed = path if _OWN_NAME.fullmatch(os.path.basename(path)) else found or ""
    return os.path.normpath(fixed) if fixed else ""
