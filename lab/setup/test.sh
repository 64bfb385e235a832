#!/bin/bash
# Runs what CI runs, in three lanes, and says how many and how long: test.sh KIND...
# Kinds: format lint types unit unit-lab flow netns scenarios stories package system, and qemu, which CI does without. All of them run, also after one has failed; the exit status tells.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

LOGS=${LOGS:-.build/test} # not for two at once
ROWS=()
FAILED=0
SECOND_TRIES=()
# Failures in more modules of one kind than these are no accident of a busy machine. (A lab that did not come up fails
# all tests of its module.)
MOST_SECOND_TRIES=3
TESTS_FAILED=1 # as pytest ends then; it has other numbers for what else goes wrong

# What follows the kind are places, and AGAIN the options of a second try. Kinds run at the same time: each has a cache.
pytest_kind() {
  local kind=$1
  shift
  .venv/bin/python -m pytest -rs -o "cache_dir=$PWD/$LOGS/cache/$kind" "${AGAIN[@]}" "$@"
}
AGAIN=()

# A browser looks at the control plane's page.
ready_for_flow() {
  if ! command -v chromium-headless-shell >/dev/null; then
    echo "flow: chromium-headless-shell is missing; lab/setup/setup.sh browser installs it" >&2
    return 1
  fi
}

# The netns tests build hosts. What they lack is said here in a line, not found out in a hundred tracebacks.
ready_for_netns() {
  local problems=0
  if ((EUID != 0)); then
    echo "netns: not root, and only root can make namespaces" >&2
    problems=1
  fi
  for program in ip iptables nft dnsmasq nsenter setpriv curl ping systemd-sysusers systemd-tmpfiles; do
    if ! PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null; then
      echo "netns: $program is missing; make setup installs it" >&2
      problems=1
    fi
  done
  if ! grep -qw overlay /proc/filesystems && ! modprobe overlay 2>/dev/null; then
    echo "netns: this kernel has no overlay file system" >&2
    problems=1
  fi
  if [[ ! -x .build/agent/bin/envoy ]]; then
    echo "netns: the agent is not staged; run make setup" >&2
    problems=1
  fi
  return "$problems"
}

# Nor do the system tests, which build machines: what those of namespaces need, and this.
ready_for_system() {
  local problems=0
  ready_for_netns || problems=1
  for program in systemd-nspawn debootstrap dpkg-deb vagrant shellcheck; do
    if ! PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null; then
      echo "system: $program is missing; lab/setup/setup.sh packaging machines scripts installs it" >&2
      problems=1
    fi
  done
  return "$problems"
}

# Nor that of a kernel of its own.
ready_for_qemu() {
  local problems=0
  ready_for_netns || problems=1
  for program in qemu-system-x86_64 ssh ssh-keygen mke2fs dpkg-deb; do
    if ! PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null; then
      echo "qemu: $program is missing; lab/setup/setup.sh packaging machines qemu installs it" >&2
      problems=1
    fi
  done
  if [[ ! -c /dev/net/tun ]]; then
    echo "qemu: this machine has no /dev/net/tun, the other end of an emulated network card" >&2
    problems=1
  fi
  return "$problems"
}

run() {
  case $1 in
    format) .venv/bin/ruff format --check . ;;
    lint) .venv/bin/ruff check . ;;
    types) .venv/bin/mypy && .venv/bin/mypy packaging/man/pages.py && .venv/bin/mypy packaging/completion/scripts.py ;;
    # Two of about one length, for two processors: of the product, and of the lab.
    unit) pytest_kind unit tests/unit --ignore=tests/unit/lab ;;
    unit-lab) pytest_kind unit-lab tests/unit/lab ;;
    flow) ready_for_flow && pytest_kind flow tests/flow ;;
    # Of the tests of namespaces those that tell stories, which take half of the time, are kinds of their own.
    netns) ready_for_netns && pytest_kind netns tests/netns --ignore=tests/netns/story --ignore=tests/netns/scenarios ;;
    scenarios) ready_for_netns && pytest_kind scenarios tests/netns/scenarios ;;
    stories) ready_for_netns && pytest_kind stories tests/netns/story ;;
    system) ready_for_system && pytest_kind system tests/system ;;
    qemu) ready_for_qemu && pytest_kind qemu tests/qemu ;;
    *) pytest_kind "$1" "tests/$1" ;;
  esac
}

# Shows what it prints and keeps it, with how it ended and how long it took.
measured() {
  local kind=$1 log=$2 began=$EPOCHREALTIME
  run "$kind" 2>&1 | tee "$LOGS/$log.log"
  echo "${PIPESTATUS[0]}" >"$LOGS/$log.status"
  awk -v began="$began" -v ended="$EPOCHREALTIME" 'BEGIN { printf "%.1f\n", ended - began }' >"$LOGS/$log.seconds"
}

# The lanes press on each other, and a test that waits for real programs may lose its patience by it. What failed gets
# one more try on a machine that is quiet by then, and is named: it is a fault of the test or of the agent either way.
try_again() {
  local kind=$1 failed="$LOGS/cache/$1/v/cache/lastfailed" names modules
  [[ $kind =~ ^(package|flow|netns|scenarios|stories|system)$ && $(<"$LOGS/$kind.status") == "$TESTS_FAILED" && -f $failed ]] || return
  mapfile -t names < <(.venv/bin/python -c 'import json, sys; print(*json.load(sys.stdin), sep="\n")' <"$failed")
  mapfile -t modules < <(printf '%s\n' "${names[@]%%::*}" | sort -u)
  ((${#modules[@]} <= MOST_SECOND_TRIES)) || return
  echo "==> $kind: what failed, once more"
  AGAIN=(--last-failed)
  measured "$kind" "$kind-again"
  AGAIN=()
  if [[ $(<"$LOGS/$kind-again.status") == 0 ]]; then
    mv "$LOGS/$kind-again.status" "$LOGS/$kind.status"
    SECOND_TRIES+=("${names[@]}")
  fi
}

report() {
  local kind=$1 mark=ok
  if [[ $(<"$LOGS/$kind.status") != 0 ]]; then
    mark=FAILED
    FAILED=1
  fi
  ROWS+=("$(printf '%-9s %-6s %7ss  %s' "$kind" "$mark" "$(<"$LOGS/$kind.seconds")" "$(grep -v '^$' "$LOGS/$kind.log" | tail -n 1)")")
}

# How many tests ended in a way: pytest says so in its last line. What follows the way are logs.
count() {
  cat "${@:2}" | grep -oE "^[0-9]+ .* in [0-9.]+s|^[0-9]+ .* in [0-9.]+s .*" | grep -oE "[0-9]+ $1" |
    awk '{ sum += $1 } END { print sum + 0 }'
}

# What is shown when it is done, for something else is being shown meanwhile.
beside() {
  local kind
  for kind in "$@"; do
    measured "$kind" "$kind" >/dev/null
  done
}

mkdir -p "$LOGS"
rm -rf "${LOGS:?}"/*
# Most of the time is waiting, so three lanes: what uses ports and processors of this machine is shown; beside it goes
# what has networks of its own.
HERE=() NETWORKS=() STORIES=()
for kind in "$@"; do
  case $kind in
    types | unit-lab | netns | scenarios) NETWORKS+=("$kind") ;;
    stories | system) STORIES+=("$kind") ;;
    *) HERE+=("$kind") ;;
  esac
done
beside "${NETWORKS[@]}" &
beside "${STORIES[@]}" &
for kind in "${HERE[@]}"; do
  echo "==> $kind"
  measured "$kind" "$kind"
done
wait
for kind in "${NETWORKS[@]}" "${STORIES[@]}"; do
  echo "==> $kind"
  cat "$LOGS/$kind.log"
done
for kind in "$@"; do
  try_again "$kind"
  report "$kind"
done

echo
printf '%s\n' "${ROWS[@]}"
echo
if ((${#SECOND_TRIES[@]})); then
  echo "passed only when tried again:"
  printf '  %s\n' "${SECOND_TRIES[@]}"
fi
FIRST=("${@/#/$LOGS/}")
FIRST=("${FIRST[@]/%/.log}")
failed=$(($(count failed "${FIRST[@]}") + $(count error "${FIRST[@]}") - ${#SECOND_TRIES[@]}))
echo "$(count passed "$LOGS"/*.log) passed, $failed failed, $(count skipped "${FIRST[@]}") skipped"
exit "$FAILED"
