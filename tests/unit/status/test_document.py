import errno
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from vmagent.errors import Unavailable
from vmagent.runtime import files
from vmagent.status import document
from vmagent.status.document import Facts

SERVING = Facts(
    version="1.2",
    pid=42,
    started=0.0,
    node="sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local",
    gates={"config": "open", "identity": "open"},
    certificate="spiffe://cluster.local/ns/istio-demo/sa/vm",
    certificate_expires=1_800_000_000.0,
    secrets="2 from files, the first certificate expires at 2027-01-15T08:00:00Z",
    control_plane="istiod.istio-system.svc:15012",
    control_plane_connected=True,
    envoy="serving",
    dns="3 names of the mesh",
    health="healthy",
)


def test_the_screen_names_certificate_control_plane_envoy_dns_probe_and_capture() -> None:
    assert document.screen(asdict(SERVING), "open") == [
        "istio-agent 1.2 (pid 42): ready",
        "",
        "  open     config",
        "  open     identity",
        "",
        "certificate    spiffe://cluster.local/ns/istio-demo/sa/vm, good until 2027-01-15T08:00:00Z",
        "secrets        2 from files, the first certificate expires at 2027-01-15T08:00:00Z",
        "control plane  istiod.istio-system.svc:15012, connected",
        "envoy          serving",
        "dns            3 names of the mesh",
        "application    healthy",
        "capture        traffic goes through Envoy",
    ]


def test_what_waits_says_for_what_and_what_is_unknown_is_left_out() -> None:
    waiting = Facts(version="1.2", pid=42, started=0.0, node="", gates={"config": "waiting for mesh"})
    assert document.screen(asdict(waiting), "istio-capture is not running") == [
        "istio-agent 1.2 (pid 42): not ready",
        "",
        "  waiting  config     waiting for mesh",
        "",
        "capture        none: istio-capture is not running",
    ]
    assert not document.ready(asdict(waiting))


def test_a_router_is_called_one_and_captures_nothing_whatever_the_gate_says() -> None:
    shown = document.screen(asdict(replace(SERVING, role="router")), "open")
    assert shown[0] == "istio-agent 1.2 (pid 42, router): ready"
    assert shown[-1] == "capture        none: a router has ports of its own, to which its clients connect"


@pytest.mark.parametrize("text", ["[]", "{", "null", "{}", "1", "[" * 100_000, "1" * 5000])
def test_a_document_of_another_shape_is_not_believed(tmp_path: Path, text: str) -> None:
    assert files.Lock(tmp_path / "lock").acquire() is None
    (tmp_path / document.FILE).write_text(text)
    with pytest.raises(Unavailable, match="not what the agent writes"):
        document.read(tmp_path)


@pytest.mark.parametrize("key", sorted(asdict(SERVING)))
@pytest.mark.parametrize(
    "value", [None, 1, 1e300, -1, float("nan"), [], [1], {}, {"a": 1}, {"a": [1]}, "x", ...]
)
def test_what_is_read_can_be_shown(tmp_path: Path, key: str, value: object) -> None:
    """Whatever the unprivileged user puts there, root gets a screen or a sentence."""
    assert files.Lock(tmp_path / "lock").acquire() is None
    wrong = {**asdict(SERVING), key: value}
    if value is ...:
        del wrong[key]
    (tmp_path / document.FILE).write_text(json.dumps(wrong))
    try:
        found = document.read(tmp_path)
    except Unavailable:
        return
    assert found is not None
    assert document.ready(found)
    assert document.screen(found, "open")[0].startswith("istio-agent ")


def test_text_of_others_neither_moves_the_cursor_nor_forges_a_line() -> None:
    hostile = "no\x1b[2J\x1b]0;owned\x07\n  open     certificate\r\u202eb\x9b1m"
    shown = document.screen(
        {
            **asdict(SERVING),
            **dict.fromkeys(("version", "certificate", "control_plane", "envoy", "dns", "health"), hostile),
            **dict.fromkeys(("stale", "secrets", "role"), hostile),
            **{key: {hostile: hostile} for key in ("gates", "trouble", "refused")},
            "taken_out": {hostile: [hostile]},
        },
        hostile,
    )
    lines = "\n".join(shown).split("\n")
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("  open")]
    assert any(r"no\x1b[2J\x1b]0;owned\x07" in line for line in lines)


def test_the_sentence_for_systemd_is_one_line() -> None:
    """A second one would be a variable: MAINPID=1, say."""
    waiting = replace(SERVING, gates={"config": "2 things:\n  a\n  b", "xds": "no\nMAINPID=1\x1b[2J"})
    assert document.sentence(waiting) == r"not ready: config (2 things: a b); xds (no MAINPID=1\x1b[2J)"


def test_trouble_shows_although_every_gate_is_open() -> None:
    troubled = replace(SERVING, control_plane_connected=False, trouble={"xds": "connection refused"})
    shown = document.screen(asdict(troubled), "open")
    assert "control plane  istiod.istio-system.svc:15012, not connected" in shown
    assert shown[-1] == "trouble        xds: connection refused"
    assert document.sentence(troubled).endswith("; xds: connection refused")


def test_what_envoy_does_without_and_what_it_cannot_have_is_shown() -> None:
    lacking = replace(
        SERVING,
        taken_out={"istio.alpn": ("Listener",), "istio.metadata_exchange": ("Cluster", "Listener")},
        refused={"Listener virtualInbound": "istio_authn is not in this Envoy"},
    )
    shown = document.screen(asdict(lacking), "open")
    assert "does without   istio.alpn (Listener), istio.metadata_exchange (Cluster, Listener)" in shown
    assert shown[-1] == "refused        Listener virtualInbound: istio_authn is not in this Envoy"


def test_refusals_without_end_are_counted() -> None:
    many = {f"Listener {number}": "no" for number in range(document.MOST_REFUSED + 5)}
    told = document.few(many)
    assert len(told) == document.MOST_REFUSED + 1
    assert "5 more" in told
    assert document.few({"Listener 1": "no"}) == {"Listener 1": "no"}


def test_one_sentence_says_who_we_are_or_what_is_missing() -> None:
    assert document.sentence(SERVING) == (
        "serving as spiffe://cluster.local/ns/istio-demo/sa/vm; certificate good until 2027-01-15T08:00:00Z"
    )
    missing = replace(SERVING, gates={"config": "open", "identity": "no token"})
    assert document.sentence(missing) == "not ready: identity (no token)"


def test_a_document_counts_only_while_its_agent_lives(tmp_path: Path) -> None:
    document.write(tmp_path, SERVING)
    assert document.read(tmp_path) is None
    assert files.Lock(tmp_path / "lock").acquire() is None
    found = document.read(tmp_path)
    assert found == json.loads(json.dumps(asdict(SERVING)))


def test_a_full_disk_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert not document.write(tmp_path, SERVING)


def test_a_document_that_somebody_else_put_there_is_not_believed(tmp_path: Path) -> None:
    assert files.Lock(tmp_path / "lock").acquire() is None
    (tmp_path / "shadow").write_text("root:hunter2")
    (tmp_path / document.FILE).symlink_to("shadow")
    with pytest.raises(Unavailable, match="not what the agent writes") as refused:
        document.read(tmp_path)
    assert refused.value.__cause__ is None
