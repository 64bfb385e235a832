#!/bin/bash
# Generates the stubs that are checked in: messages of the wire that the agent reads, and those that the lab serves.
set -euo pipefail
cd "$(dirname "$0")/../.."

# protoc FROM FILE...: the names of FILEs are relative to FROM, and become part of what is generated.
protoc() {
  local from=$1
  shift
  .venv/bin/python -m grpc_tools.protoc --proto_path="$from" --python_out="$from" --pyi_out="$from" "$@"
}

protoc vmagent/_pb wire.proto
protoc . lab/controlplane/_pb/{ca,nds,alpn,stats}.proto
