"""What a machine is like, in enough detail to say that something left a trace."""

import re
from dataclasses import dataclass, fields

from lab.demo.saved import undone
from lab.hosts.machine.host import SystemdHost

ELSEWHERE = ("/proc", "/sys", "/dev", "/run/host", "/tmp")
"""Not the machine's disk."""

ALIVE = (
    # Written by systemd and dpkg about whatever happens, whoever is installed. What dpkg says is compared.
    "/var/log/journal", "/var/log/dpkg.log", "/var/log/alternatives.log", "/var/lib/dpkg",
    "/var/cache/ldconfig/aux-cache", "/var/lib/systemd/timers", "/var/lib/systemd/random-seed",
    "/var/log/nginx", "/var/log/wtmp", "/var/log/lastlog", "/var/lib/private", "/var/tmp",
    "/run/systemd", "/run/log", "/run/udev", "/run/sudo", "/run/lock", "/run/utmp",
    # Debian's policy: a package's user stays, because files of its may be anywhere.
    "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/passwd-", "/etc/group-",
    "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock", "/etc/subuid", "/etc/subgid", "/etc/subuid-",
    "/etc/subgid-",
)  # fmt: skip

# For each file: type, mode, owner, name, where it points to. Of those with content the checksum; below /usr,
# where 200 MB lie, size and time.
_FILES = r"""
set -e
prune=(); for path in {skipped}; do prune+=(-path "$path" -o); done
find / \( "${{prune[@]}}" -false \) -prune -o -printf '%y %m %u:%g %p -> %l\n'
echo
find / \( "${{prune[@]}}" -path /usr \) -prune -o -type f -print0 | xargs -0 sha256sum --zero
find /usr -type f -printf '%s,%T@  %p\0'
"""

# But for those of link-local addresses, which the kernel makes once nobody else on the link has one.
_ROUTES = "ip rule; ip -6 rule; ip route show table all | grep -v fe80::"
SYSCTLS_THAT_COUNT = re.compile(r"\.(nf_conntrack_count|inode-nr|stable_secret|tcp_fastopen_key)\b")


# But for those that the kernel gives each link by itself, some time after it is there. The number of a link's
# other end differs after a reboot, and with it the columns.
_ADDRESSES = "{ ip -br -4 address; ip -br -6 address show scope global; } | sed 's/@if[0-9]*//; s/  */ /g'"


@dataclass(frozen=True, slots=True)
class Snapshot:
    files: dict[str, str]
    """Path to what it is."""
    rules: str
    nftables: str
    units: str
    sysctls: dict[str, str]
    packages: str
    routes: str
    sockets: str
    mounts: str


def take(host: SystemdHost) -> Snapshot:
    return Snapshot(
        files=_files(host),
        rules=_told(
            host, "for v in '' 6; do command -v iptables >/dev/null && ip${v}tables-save; done; true"
        ),
        nftables=_told(host, "! command -v nft >/dev/null || nft list ruleset"),
        units=_told(host, "systemctl list-unit-files --no-legend; systemctl list-units --failed --no-legend"),
        sysctls=_sysctls(host),
        packages=_told(host, "dpkg-query -W -f='${Package} ${Version} ${db:Status-Status}\n'"),
        routes=_told(host, f"{_ROUTES}; {_ADDRESSES}"),
        sockets=_told(host, "ss -Hlntu | awk '{print $1, $5}' | sort"),
        mounts=_told(host, "findmnt -rno TARGET,FSTYPE | grep -v credentials | sort"),
    )


def _told(host: SystemdHost, script: str) -> str:
    return host.run(["bash", "-c", script]).stdout


def _files(host: SystemdHost) -> dict[str, str]:
    skipped = " ".join((*ELSEWHERE, *ALIVE))
    listed, _, sums = _told(host, _FILES.format(skipped=skipped)).partition("\n\n")
    found = {}
    for line in listed.splitlines():
        kind, mode, owner, rest = line.split(" ", 3)
        path, _, target = rest.partition(" -> ")
        found[path] = f"{kind} {mode} {owner} {target}".strip()
    for line in filter(None, sums.split("\0")):
        content, _, path = line.partition("  ")
        found[path] += f" {content[:20]}"
    return found


def _sysctls(host: SystemdHost) -> dict[str, str]:
    """Those of the machine's network; the others are of the kernel that all machines share."""
    lines = _told(host, "sysctl --all --pattern '^net[.]' 2>/dev/null").splitlines()
    pairs = (line.partition(" = ")[::2] for line in lines)
    return {name: value for name, value in pairs if not SYSCTLS_THAT_COUNT.search(name)}


def traces(before: Snapshot, after: Snapshot) -> list[str]:
    """What tells ``after`` from ``before``, a line each."""
    found = [
        f"{path}: {before.files.get(path, 'nothing')} -> {after.files.get(path, 'nothing')}"
        for path in sorted(before.files.keys() | after.files.keys())
        if before.files.get(path) != after.files.get(path)
    ]
    if not undone(before.rules, after.rules):
        found.append(f"iptables-save:\n{after.rules}")
    # Modules that other machines made the kernel load bring settings of their own.
    found += [
        f"sysctl {name}: {value} -> {after.sysctls.get(name)}"
        for name, value in before.sysctls.items()
        if after.sysctls.get(name) != value
    ]
    for field in fields(Snapshot):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if isinstance(old, str) and field.name != "rules" and old != new:
            found += [
                f"{field.name}: {line}" for line in sorted(set(new.splitlines()) ^ set(old.splitlines()))
            ]
    return found
