"""Sends this machine's traffic through Envoy, and takes that back without a trace.

config → rules → plan (pure) → diff (pure) → backend (netfilter). ``manifest`` remembers what was written;
``hold`` is the long-lived privileged process. Nothing here imports anything outside the standard library,
except python-iptables in ``backend_legacy``, on hosts whose iptables is legacy.
"""
