"""One bridge in a network of its own, and a cable from it to each host. The machine's own network is not
touched.

Owns:      the ``ip -batch`` texts (pure) and running them.
Does not:  make or remove the namespaces (kernel.py, lab.py).
"""

import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.world import GATEWAY, MACHINES, PREFIX, PREFIX6, SWITCH, Machine, Places, address6

BRIDGE: Final = "br0"

FORWARDING: Final = {
    "ipv4/ip_forward": "1",
    # What goes to the gateway and back over the same bridge is meant to: no host shall learn a shortcut.
    "ipv4/conf/all/send_redirects": "0",
    f"ipv4/conf/{BRIDGE}/send_redirects": "0",
}
FORWARDING6: Final = {"ipv6/conf/all/forwarding": "1"}


def hardware(address: str) -> str:
    """As with a network card, the same after a reboot: the others remember it. A bridge without one of its
    own takes that of a cable, and another one when that cable goes.
    """
    return ":".join(("02", "00", *(f"{int(part):02x}" for part in address.split("."))))


def switch_script() -> str:
    """For the switch's namespace: the bridge, and the way to what has an address outside of its network."""
    lines = [
        "link set lo up",
        f"link add {BRIDGE} address {hardware(GATEWAY)} type bridge",
        f"address add {GATEWAY}/{PREFIX} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]
    for machine in MACHINES:
        lines += [f"route add {address}/32 via {machine.address}" for address in machine.more_addresses]
    return "\n".join((*lines, ""))


def cable_script(machine: Machine, there: str) -> str:
    """For the switch's namespace: one end of a cable; the other appears in the namespace ``there``, a name or
    a process.
    """
    return (
        f"link add {machine.name} type veth"
        f" peer name eth0 address {hardware(machine.address)} netns {there}\n"
        f"link set {machine.name} master {BRIDGE} up\n"
    )


def switch_script6(machines: Iterable[Machine]) -> str:
    """What it needs beside that for hosts with addresses of IPv6."""
    lines = [f"address add {address6(GATEWAY)}/{PREFIX6} dev {BRIDGE} nodad"]
    for machine in machines:
        via = address6(machine.address)
        lines += [f"route add {address6(each)}/128 via {via}" for each in machine.more_addresses]
    return "\n".join((*lines, ""))


def host_script(machine: Machine) -> str:
    lines = ["link set lo up"]
    if machine.ipv4:
        lines += [f"address add {machine.address}/{PREFIX} dev eth0"]
        lines += [f"address add {address}/32 dev eth0" for address in machine.more_addresses]
    if machine.ipv6:
        # Nobody else can have them: nothing waits until the kernel has asked.
        lines += [f"address add {address6(machine.address)}/{PREFIX6} dev eth0 nodad"]
        lines += [f"address add {address6(each)}/128 dev eth0 nodad" for each in machine.more_addresses]
    lines += ["link set eth0 up"]
    lines += [f"route add default via {GATEWAY}"] if machine.ipv4 else []
    lines += [f"route add ::/0 via {address6(GATEWAY)}"] if machine.ipv6 else []
    return "\n".join((*lines, ""))


def connect(places: Places, machines: Iterable[Machine]) -> None:
    """The bridge, and these machines at it. The namespaces exist already."""
    switch, machines = places.network(SWITCH), tuple(machines)
    ipv6 = [machine for machine in machines if machine.ipv6]
    _batch(switch, switch_script() + (switch_script6(ipv6) if ipv6 else ""))
    with kernel.inside_network(switch):
        for name, value in (FORWARDING | (FORWARDING6 if ipv6 else {})).items():
            # /proc/sys/net is that of the thread which opens it.
            Path("/proc/sys/net", name).write_text(value)
    for machine in machines:
        there = places.network(machine.name)
        _batch(switch, cable_script(machine, there.name))
        _batch(there, host_script(machine))


def plug(switch: Path, machine: Machine, pid: int) -> None:
    """A cable from the switch to the network that process ``pid`` is in."""
    _batch(switch, cable_script(machine, str(pid)))
    _batch(Path(f"/proc/{pid}/ns/net"), host_script(machine))


def attach(machine: Machine) -> None:
    """A cable from the switch, whose network the caller is in, to the network card of an emulated machine."""
    _batch(
        kernel.OWN_NETWORK,
        f"tuntap add dev {machine.name} mode tap\nlink set {machine.name} master {BRIDGE} up\n",
    )


def unplug(switch: Path, machine: Machine) -> None:
    _batch(switch, f"link delete {machine.name}\n")


def _batch(network: Path, script: str) -> None:
    done = subprocess.run(
        ["/usr/sbin/ip", "-batch", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(kernel.setns, network, kernel.NEWNET),
    )
    if done.returncode != 0:
        raise LabError(
            f"{network.name}: {' '.join(done.stderr.split())}", hint="make setup installs iproute2"
        )
