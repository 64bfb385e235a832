"""The name servers of a lab, real dnsmasq processes: the world's DNS, the cluster's, and the VM's own stub.

Owns:      which server knows which name.
Does not:  know mesh names: nobody but the agent's own DNS does.
Surprise:  the world's DNS does not know istiod. On the VM that name comes from /etc/hosts, as in the
           documents; in a pod it comes from the cluster's DNS.
"""

from collections.abc import Sequence
from typing import Final

from lab.hosts.host import Host
from lab.hosts.process import Process
from lab.hosts.world import CLUSTER_DNS, CLUSTER_DOMAIN, ISTIOD, OUTSIDE, OUTSIDE_NAME, address6

WORLD_NAMES: Final = "/etc/world-names"
"""Files as /etc/hosts; what is put there the world's DNS knows at once."""

WORLD_LOG: Final = "/var/log/dns-world.log"
CLUSTER_LOG: Final = "/var/log/dns-cluster.log"
STUB_LOG: Final = "/var/log/dns-stub.log"
STUB: Final = "127.0.0.53"

# Nothing of the machine's: no configuration, no /etc/hosts, no /etc/resolv.conf, no DHCP, no pid file.
_PLAIN: Final = (
    "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--no-poll",
    "--pid-file", "--user=nobody", "--group=nogroup", "--bind-interfaces", "--no-dhcp-interface=*",
    "--log-queries",
)  # fmt: skip

# A name that is not known does not exist: without this dnsmasq refuses to answer.
_KNOWS_ALL: Final = "--local=/#/"


def world(istiod: Host, outside: Sequence[str] = (OUTSIDE,)) -> Process:
    """``outside``: the addresses of the host that is outside of the mesh."""
    istiod.run(["install", "-d", WORLD_NAMES])
    record = f"--host-record={','.join((OUTSIDE_NAME, *outside))}"
    return _start(istiod, WORLD_LOG, _heard(istiod, ISTIOD), _KNOWS_ALL, f"--hostsdir={WORLD_NAMES}", record)


def cluster(istiod: Host) -> Process:
    """Names of the cluster here, the rest from the world, as CoreDNS is set up."""
    service = "istiod.istio-system.svc"
    return _start(
        istiod,
        CLUSTER_LOG,
        _heard(istiod, CLUSTER_DNS),
        f"--server={ISTIOD}",
        f"--local=/{CLUSTER_DOMAIN}/",
        "--local=/svc/",
        f"--host-record={service},{service}.{CLUSTER_DOMAIN},{','.join(istiod.addresses)}",
    )


def stub(vm: Host) -> Process:
    """Stands where systemd-resolved stands on Ubuntu."""
    server = ISTIOD if vm.address in vm.addresses else address6(ISTIOD)
    return _start(vm, STUB_LOG, (STUB,), f"--server={server}")


def _heard(istiod: Host, address: str) -> tuple[str, ...]:
    return (address, address6(address)) if address6(ISTIOD) in istiod.addresses else (address,)


def _start(host: Host, log: str, addresses: Sequence[str], *knows: str) -> Process:
    heard = [f"--listen-address={address}" for address in addresses]
    command = [*_PLAIN, *heard, f"--log-facility={log}", *knows]
    return host.spawn(command, log=log)


def start(istiod: Host, vm: Host, outside: Host) -> None:
    """Returns when all can be asked. A VM that boots has its systemd-resolved."""
    servers = [(istiod, world(istiod, outside.addresses), ISTIOD), (istiod, cluster(istiod), CLUSTER_DNS)]
    if not vm.boots:
        servers.append((vm, stub(vm), STUB))
    for host, process, address in servers:
        host.until_listening(process, 53, kind="udp", address=address)
