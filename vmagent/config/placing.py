"""A machine whose address is another one than it was: the same configuration, for the new place.

Owns:      what of a ``Config`` an address decides, and finding out where the control plane is from here.
Does not:  read settings again: an edit of those takes a restart.
"""

import asyncio
import ipaddress
import socket
from dataclasses import replace
from pathlib import Path
from typing import Final

from vmagent.config import address_choice, addresses
from vmagent.config.addresses import Host
from vmagent.config.model import Config

LOOK_UP: Final = 2.0
"""Seconds for the control plane's name. Without an answer the default route decides."""


async def peers(config: Config) -> tuple[str, ...]:
    """Addresses of the control plane, as many as are known within a moment."""
    host = config.control_plane.xds.address.host
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    try:
        async with asyncio.timeout(LOOK_UP):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return ()
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


async def here(config: Config, base: Path) -> Config:
    """For where the machine is now; the very same ``config`` if nothing about that is another. A machine
    without an address keeps what it had.
    """
    if config.workload.given_ip:
        return config
    return placed(config, addresses.read(base, peers=await peers(config)))


def placed(config: Config, host: Host) -> Config:
    who = config.workload
    ips = address_choice.choose(host, who.given_ip, excluded=frozenset(who.excluded_interfaces))
    if not ips or ips == who.ips:
        return config
    probe = config.probe
    if probe is not None and probe.default_host == who.address:
        probe = replace(probe, default_host=ips[0])
    kind, _, rest = config.node.id.partition("~")
    node = replace(
        config.node,
        id=f"{kind}~{ips[0]}~{rest.partition('~')[2]}",
        metadata={**config.node.metadata, "INSTANCE_IPS": ",".join(ips)},
    )
    return replace(config, workload=replace(who, ips=ips), node=node, probe=probe)
