#!/bin/bash
# vm.sh PROJECT: the VM of the story, with its application and the agent's package. PROJECT is where lab/provision and
# dist are seen from this machine.
set -euo pipefail
here=$1/lab/provision

"$here/packages.sh" nginx-light curl iputils-ping bind9-dnsutils procps
"$here/application.sh"
"$here/agent.sh" "$1/dist"
