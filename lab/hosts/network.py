"""One bridge in a network of its own, and a cable from it to each host. The machine's own network is not
touched.

Owns:      the ``ip -batch`` texts (pure) and running them.
Does not:  make or remove the namespaces (kernel.py, lab.py).
"""

import subprocess
from pathlib import Path
from typing import Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.world import GATEWAY, MACHINES, PREFIX, SWITCH, Machine, Places

BRIDGE: Final = "br0"

FORWARDING: Final = {
    "ip_forward": "1",
    # What goes to the gateway and back over the same bridge is meant to: no host shall learn a shortcut.
    "conf/all/send_redirects": "0",
    f"conf/{BRIDGE}/send_redirects": "0",
}


def switch_script(places: Places) -> str:
    """For the switch's namespace: the bridge, and one end of each cable; the other end appears in the
    host.
    """
    lines = [
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"address add {GATEWAY}/{PREFIX} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ]
    for machine in MACHINES:
        there = places.network(machine.name).name
        lines += [
            f"link add {machine.name} type veth peer name eth0 netns {there}",
            f"link set {machine.name} master {BRIDGE} up",
        ]
        lines += [f"route add {address}/32 via {machine.address}" for address in machine.more_addresses]
    return "\n".join((*lines, ""))


def host_script(machine: Machine) -> str:
    lines = ["link set lo up", f"address add {machine.address}/{PREFIX} dev eth0"]
    lines += [f"address add {address}/32 dev eth0" for address in machine.more_addresses]
    lines += ["link set eth0 up", f"route add default via {GATEWAY}"]
    return "\n".join((*lines, ""))


def connect(places: Places) -> None:
    """Everything between the hosts. The namespaces exist already."""
    switch = places.network(SWITCH)
    _batch(switch, switch_script(places))
    for machine in MACHINES:
        _batch(places.network(machine.name), host_script(machine))
    with kernel.inside_network(switch):
        for name, value in FORWARDING.items():
            # /proc/sys/net is that of the thread which opens it.
            Path("/proc/sys/net/ipv4", name).write_text(value)


def _batch(network: Path, script: str) -> None:
    command = ["/usr/sbin/ip", "-netns", network.name, "-batch", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(
            f"{network.name}: {' '.join(done.stderr.split())}", hint="make setup installs iproute2"
        )
