#!/bin/bash
# Writes requirements/*.lock anew from *.in: every version fixed, every file hashed, no index named. Versions that
# fit stay as they are; `make lock UPGRADE=1` takes the newest.
set -euo pipefail
cd "$(dirname "$0")/../../requirements"

compile() {
  local name=$1
  shift
  echo "    $name.lock"
  ../.venv/bin/pip-compile --quiet --allow-unsafe --generate-hashes --strip-extras \
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
    ${UPGRADE:+--upgrade} "$@" --output-file="$name.lock" "$name.in"
}

export CUSTOM_COMPILE_COMMAND="make lock"
compile dev
compile agent --constraint=dev.lock
compile build --constraint=dev.lock
