#!/bin/bash
# Everything a fresh Debian 12 needs to run the tests and the demo. A second run looks, finds it there, and is done.
#
#   setup.sh [WORD...]      packaging, machines, qemu, scripts, browser: what that needs as well
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022

# Debian's own interpreter: the agent's user must be able to execute it, and it may not enter anybody's home.
PYTHON=/usr/bin/python3

# What for: the virtual environment; python-iptables, which is built from source; an interpreter that can be taken along;
# rules, hosts and their names; what the story types; users and directories as the package makes them; man pages that are
# looked at. None of these starts a service.
PACKAGES=(
  python3-venv python3-dev gcc libc6-dev libexpat1-dev binutils patchelf
  iptables nftables iproute2 dnsmasq-base udhcpc
  curl iputils-ping bind9-dnsutils procps
  systemd
  groff-base
)

# Whether to make the trees that the lab's machines boot, and a kernel for one.
MACHINES=
KERNEL=

for word in "$@"; do
  case $word in
    packaging) PACKAGES+=(debhelper lintian) ;;
    machines) PACKAGES+=(debootstrap systemd-container) MACHINES=yes ;;
    qemu) PACKAGES+=(qemu-system-x86 openssh-client e2fsprogs) KERNEL=yes ;;
    browser) PACKAGES+=(chromium-headless-shell fonts-dejavu-core) ;;
    scripts) PACKAGES+=(shellcheck vagrant vagrant-libvirt) ;;
    *) echo "setup: unknown word $word" >&2 && exit 64 ;;
  esac
done

# Runs quietly; what it said is shown if it fails.
quietly() {
  local log=.build/setup.log
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "setup: failed: $*" >&2
    exit 1
  fi
}

say() { printf '==> %s\n' "$*"; }

missing_packages() {
  local installed package
  installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n')
  for package in "${PACKAGES[@]}"; do
    grep --quiet --line-regexp "$package installed" <<<"$installed" || echo "$package"
  done
}

debian_packages() {
  local missing
  missing=$(missing_packages | tr '\n' ' ')
  if [[ -z $missing ]]; then
    say "Debian packages: all there"
    return
  fi
  say "Debian packages: $missing"
  if ((EUID != 0)); then
    echo "setup: not root; install them first: apt-get install --no-install-recommends $missing" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  quietly apt-get update
  # shellcheck disable=SC2086
  quietly apt-get install --yes --no-install-recommends $missing
}

# What the virtual environment was made from, and where: it cannot be moved.
environment_stamp() {
  echo "$PWD $($PYTHON -c 'import sys; print(sys.version)') $(sha256sum requirements/build.lock requirements/dev.lock)"
}

virtual_environment() {
  local stamp=.venv/.made-from pip=(.venv/bin/python -m pip --disable-pip-version-check)
  if [[ -f $stamp && $(<"$stamp") == "$(environment_stamp)" ]]; then
    say "Python packages: all there"
    return
  fi
  say "Python packages (requirements/dev.lock, 150 MB on a fresh machine)"
  # One that was moved, or whose making was interrupted, is made again.
  if [[ $(sed -n 's/^command = .* //p' .venv/pyvenv.cfg 2>/dev/null) != "$PWD/.venv" ]] || ! "${pip[@]}" --version >/dev/null 2>&1; then
    rm -rf .venv
    quietly "$PYTHON" -m venv .venv
  fi
  quietly "${pip[@]}" install --require-hashes --requirement requirements/build.lock
  # Sources are built with what build.lock fixed, not with what is newest in an index today.
  quietly "${pip[@]}" install --require-hashes --no-build-isolation --requirement requirements/dev.lock
  environment_stamp >"$stamp"
}

project() {
  local stamp=.venv/.project
  if [[ -f $stamp && $(<"$stamp") == "$(sha256sum pyproject.toml)" && -x .venv/bin/lab ]]; then
    return
  fi
  say "The project itself (editable)"
  quietly .venv/bin/python -m pip --disable-pip-version-check install --no-deps --no-build-isolation --editable .
  sha256sum pyproject.toml >"$stamp"
}

machines() {
  say "Trees that machines boot"
  .venv/bin/python -m lab.hosts.machine.tree
}

kernel() {
  say "A kernel that a machine boots"
  .venv/bin/python -m lab.hosts.virtual.layer
}

agent() {
  say "The agent, as the package will install it"
  .venv/bin/python -m lab.setup.stage
}

mkdir -p .build
debian_packages
virtual_environment
project
agent
if [[ -n $MACHINES ]]; then
  machines
fi
if [[ -n $KERNEL ]]; then
  kernel
fi
