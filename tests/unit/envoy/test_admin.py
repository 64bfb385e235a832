import pytest

from vmagent.envoy.admin import Facts, count_active

READY = """cluster_manager.cds.update_success: 1
listener_manager.lds.update_success: 2
listener_manager.workers_started: 1
server.state: 0
"""


def test_an_envoy_with_clusters_listeners_and_workers_takes_traffic() -> None:
    assert Facts.parse(READY).missing == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("server.state: 0", "server.state: 1"), "Envoy is DRAINING"),
        (("server.state: 0", "server.state: 2"), "Envoy is PRE_INITIALIZING"),
        (("server.state: 0", "server.state: 9"), "Envoy is 9"),
        (("server.state: 0", ""), "Envoy is starting"),
        (("workers_started: 1", "workers_started: 0"), "Envoy's workers have not started"),
        (
            ("lds.update_success: 2", "lds.update_success: 0"),
            "Envoy waits for its configuration (accepted: clusters 1, listeners 0)",
        ),
        (
            ("lds.update_success: 2", "lds.update_rejected: 3"),
            "Envoy rejected its configuration 3 times (accepted: clusters 1, listeners 0); its log says why",
        ),
    ],
)
def test_what_is_missing_is_a_sentence(change: tuple[str, str], sentence: str) -> None:
    assert Facts.parse(READY.replace(*change)).missing == sentence


def test_silence_is_not_readiness() -> None:
    assert Facts.parse("").missing
    assert Facts.parse("server.state").missing
    assert Facts.parse("server.state: zero\n").missing


def test_connections_to_envoys_own_listeners_do_not_count() -> None:
    text = """listener.0.0.0.0_15006.downstream_cx_active: 3
listener.0.0.0.0_15006.worker_0.downstream_cx_active: 3
listener.0.0.0.0_15021.downstream_cx_active: 1
listener.[__]_15090.downstream_cx_active: 1
listener.10.1.2.3_443.downstream_cx_active: 2
listener.admin.downstream_cx_active: 1
listener.admin.main_thread.downstream_cx_active: 1
listener.envoy_internal_x.downstream_cx_active: 4
nonsense
"""
    assert count_active(text, frozenset({15000, 15021, 15090})) == 5
