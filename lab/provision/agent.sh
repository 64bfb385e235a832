#!/bin/bash
# agent.sh DIRECTORY: installs the newest package of the agent that lies there, as an operator does.
set -euo pipefail
here=$(dirname "$(realpath "$0")")

# shellcheck disable=SC2012
package=$(ls -v "$1"/istio-agent_*_"$(dpkg --print-architecture)".deb 2>/dev/null | tail -n 1)
if [[ -z $package ]]; then
  echo "agent.sh: no istio-agent_*.deb in $1; make deb builds it" >&2
  exit 1
fi
# A server has one of the two; a minimal image may have neither.
if ! command -v iptables >/dev/null && ! command -v nft >/dev/null; then
  "$here/packages.sh" iptables
fi
dpkg -i "$package"
