"""Which ports Envoy may listen on, and what is said where that is too few."""

from pathlib import Path

import pytest

from vmagent.envoy import rights
from vmagent.envoy.admin import Facts

NOTHING, BIND = "0000000000000000", "0000000000000400"


@pytest.mark.parametrize(
    ("effective", "first", "lowest"),
    [(NOTHING, 1024, 1024), (NOTHING, 80, 80), (BIND, 1024, 1), (NOTHING, 0, 0)],
)
def test_a_capability_opens_all_ports_and_a_sysctl_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effective: str, first: int, lowest: int
) -> None:
    (tmp_path / "status").write_text(f"Name:\tvmagent\nCapPrm:\t{BIND}\nCapEff:\t{effective}\n")
    (tmp_path / "first").write_text(f"{first}\n")
    monkeypatch.setattr(rights, "STATUS", tmp_path / "status")
    monkeypatch.setattr(rights, "FIRST_FREE", tmp_path / "first")
    assert rights.lowest_port() == lowest


def test_the_advice_names_both_ways_and_only_where_one_is_needed() -> None:
    assert rights.advice(1) == rights.advice(0) == ""
    told = rights.advice(1024)
    assert told.startswith(
        "it may not listen on ports below 1024: sysctl -w net.ipv4.ip_unprivileged_port_start"
    )
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in told


def test_it_is_given_where_listeners_are_rejected_and_not_otherwise() -> None:
    listeners = "listener_manager.lds.update_rejected: 1\ncluster_manager.cds.update_success: 1\n"
    clusters = "cluster_manager.cds.update_rejected: 1\n"
    assert Facts.parse(listeners, advice="do this").missing.endswith("its log says why; do this")
    assert Facts.parse(clusters, advice="do this").missing.endswith("its log says why")
    assert Facts.parse(listeners).missing.endswith("its log says why")
