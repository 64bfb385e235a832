import os
from pathlib import Path

import pytest

from tests.unit.capture.cases import CASES, TYPICAL, Case, TwoAccounts, host
from vmagent.capture.config import parse
from vmagent.capture.plan import covers, plan, render
from vmagent.capture.rule import chains
from vmagent.errors import Misconfigured

GOLDEN = Path(__file__).parent / "golden"


def text(case: Case) -> str:
    planned = plan(case.config, case.host, ip6tables=True)
    notes = "".join(f"# {note}\n" for note in planned.notes)
    return notes + "".join(f"# {family}\n{render(rules)}" for family, rules in planned.families.items())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan_matches_golden(case: Case) -> None:
    path = GOLDEN / f"{case.name}.rules"
    if os.environ.get("REGENERATE"):
        path.write_text(text(case))
    assert text(case) == path.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.rules")} == {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_tcp_redirect_takes_new_connections_only(case: Case) -> None:
    redirects = [line for line in text(case).splitlines() if "-p tcp" in line and "-j REDIRECT" in line]
    assert redirects
    assert all(" --syn " in line for line in redirects)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_only_udp_ever_redirected_goes_to_port_53(case: Case) -> None:
    lines = text(case).splitlines()
    redirects = [line for line in lines if "-j REDIRECT" in line and "-p tcp" not in line]
    assert all("-p udp -m udp --dport 53 " in line for line in redirects)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_rule_says_whose_it_is_and_what_it_is_for(case: Case) -> None:
    rules = [line for line in text(case).splitlines() if line.startswith("-A")]
    assert all('-m comment --comment "istio-agent:' in line for line in rules)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_chains_that_are_declared_are_jumped_to(case: Case) -> None:
    for rules in plan(case.config, case.host, ip6tables=True).families.values():
        for table in ("raw", "mangle", "nat"):
            targets = {rule.jump.split()[0] for rule in rules if rule.table == table}
            assert {t for t in targets if t.startswith("ISTIO_")} <= set(chains(rules, table))


def test_without_ip6tables_only_ipv4_is_captured_and_the_plan_says_so() -> None:
    config = parse({**TYPICAL, "ISTIO_DUAL_STACK": "true"}, TwoAccounts())
    planned = plan(config, host("10.96.0.10", ipv6=True), ip6tables=False)
    assert list(planned.families) == ["ipv4"]
    assert "there is no ip6tables on this host" in planned.notes[0]


def test_ipv6_resolvers_alone_cannot_be_captured_on_an_ipv4_host() -> None:
    with pytest.raises(Misconfigured, match=r"ISTIO_META_DNS_CAPTURE.*fd00::53") as caught:
        plan(parse(TYPICAL, TwoAccounts()), host("fd00::53"), ip6tables=True)
    assert "ISTIO_DUAL_STACK" in caught.value.hint


def test_networks_of_a_family_that_is_not_captured_are_named() -> None:
    config = parse({**TYPICAL, "ISTIO_SERVICE_CIDR": "10.0.0.0/8,fd00::/8"}, TwoAccounts())
    assert "these IPv6 networks have no effect: fd00::/8" in plan(config, host(), ip6tables=True).notes


def test_capturing_ssh_is_said_aloud() -> None:
    config = parse({**TYPICAL, "ISTIO_LOCAL_EXCLUDE_PORTS": "15020"}, TwoAccounts())
    assert any("port 22" in note for note in plan(config, host(), ip6tables=True).notes)


def test_a_range_covers_its_ports() -> None:
    assert covers(("80", "20:25"), 22)
    assert not covers(("80", "220"), 22)
