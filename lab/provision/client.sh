#!/bin/bash
# client.sh PROJECT: who asks the VM. Nothing runs there but the agent.
set -euo pipefail
here=$1/lab/provision

"$here/packages.sh" curl iputils-ping bind9-dnsutils procps
"$here/agent.sh" "$1/dist"
