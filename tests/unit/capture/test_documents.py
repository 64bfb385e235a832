"""Every rule that the source documents list (Istio 1.10) has its counterpart here.

The documents show port 53 only; their uid and gid (113 on the VM, 1337 in the pod) stand for the proxy's,
and the pod's resolver is 10.96.0.10, the VM's 127.0.0.53.
"""

import pytest

from tests.unit.capture.cases import TYPICAL, TwoAccounts, host
from vmagent.capture.config import parse
from vmagent.capture.plan import plan


class Documented(TwoAccounts):
    def user(self, who: str) -> tuple[int, int] | None:
        return {"vm": (113, 113), "pod": (1337, 1337)}.get(who)


VM, POD = ("vm", "127.0.0.53"), ("pod", "10.96.0.10")

LISTED = (
    # All protocols enter the chain today; what is not TCP falls through it.
    (VM, "-A OUTPUT -p tcp -j ISTIO_OUTPUT", "nat OUTPUT", "-j ISTIO_OUTPUT"),
    # The owner's DNS was let out of OUTPUT early; today all of the owner's traffic is, in ISTIO_OUTPUT.
    (VM, "-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 113 -j RETURN", "nat ISTIO_OUTPUT",
     "-m owner --uid-owner 113 -j RETURN"),
    (VM, "-A OUTPUT -p udp -m udp --dport 53 -m owner --gid-owner 113 -j RETURN", "nat ISTIO_OUTPUT",
     "-m owner --gid-owner 113 -j RETURN"),
    # DNS has a chain of its own since 1.23.
    (VM, "-A OUTPUT -d 127.0.0.53/32 -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053",
     "nat ISTIO_OUTPUT_DNS", "-d 127.0.0.53/32 -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053"),
    # The tunnel port is exempt as well, so the one port became a list.
    (VM, "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 53 -m owner --uid-owner 113"
     " -j ISTIO_IN_REDIRECT", "nat ISTIO_OUTPUT",
     "! -d 127.0.0.1/32 -o lo -p tcp -m multiport ! --dports 53,15008 -m owner --uid-owner 113"
     " -j ISTIO_IN_REDIRECT"),
    (POD, "-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 1337 -j RETURN", "nat ISTIO_OUTPUT",
     "-m owner --uid-owner 1337 -j RETURN"),
    (POD, "-A OUTPUT -p udp -m udp --dport 53 -m owner --gid-owner 1337 -j RETURN", "nat ISTIO_OUTPUT",
     "-m owner --gid-owner 1337 -j RETURN"),
    (POD, "-A OUTPUT -d 10.96.0.10/32 -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053",
     "nat ISTIO_OUTPUT_DNS", "-d 10.96.0.10/32 -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053"),
    (POD, "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 53 -m owner --uid-owner 1337"
     " -j ISTIO_IN_REDIRECT", "nat ISTIO_OUTPUT",
     "! -d 127.0.0.1/32 -o lo -p tcp -m multiport ! --dports 53,15008 -m owner --uid-owner 1337"
     " -j ISTIO_IN_REDIRECT"),
    (POD, "-A ISTIO_OUTPUT -o lo -p tcp -m tcp ! --dport 53 -m owner ! --uid-owner 1337 -j RETURN",
     "nat ISTIO_OUTPUT", "-o lo -p tcp -m tcp ! --dport 53 -m owner ! --uid-owner 1337 -j RETURN"),
    (POD, "-A ISTIO_OUTPUT -o lo -p tcp -m tcp ! --dport 53 -m owner ! --gid-owner 1337 -j RETURN",
     "nat ISTIO_OUTPUT", "-o lo -p tcp -m tcp ! --dport 53 -m owner ! --gid-owner 1337 -j RETURN"),
    # New connections only: the one difference that is ours.
    (POD, "-A ISTIO_OUTPUT -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j REDIRECT --to-ports 15053",
     "nat ISTIO_OUTPUT_DNS",
     "-d 10.96.0.10/32 -p tcp -m tcp --dport 53 --syn -j REDIRECT --to-ports 15053"),
)  # fmt: skip


@pytest.mark.parametrize(("where", "listed", "chain", "today"), LISTED, ids=lambda value: str(value)[:70])
def test_every_listed_rule_has_its_counterpart(
    where: tuple[str, str], listed: str, chain: str, today: str
) -> None:
    user, resolver = where
    config = parse({**TYPICAL, "ENVOY_USER": user}, Documented())
    rules = plan(config, host(resolver), ip6tables=False).families["ipv4"]
    found = [
        f"{rule.match} -j {rule.jump}".strip() for rule in rules if f"{rule.table} {rule.chain}" == chain
    ]
    assert today in found, f"{listed} has no counterpart"
