"""What is left when a machine leaves the mesh: nothing."""

from lab.demo.names import ENTRY, GET_ENTRY, GRACE
from lab.demo.saved import undone
from lab.demo.stage import Stage, expect


def leave(stage: Stage) -> None:
    stage.note("SIGTERM to istio-capture, then to istio-agent, as systemd orders them")
    stage.stop("capture@vm")
    after = stage.type("vm", "iptables-save")
    expect(undone(stage.kept["before"], after), f"iptables-save is not as before:\n{after}")
    stage.stop("agent@vm")
    expect(not stage.quietly("vm", "pgrep -u istio-proxy").strip(), "a process of istio-proxy is left")
    stage.until(
        "disconnected", lambda: "istio.io/disconnectedAt" in stage.mesh_quietly(GET_ENTRY), within=GRACE
    )
    stage.mesh(GET_ENTRY, lines=8, check=False)  # a busy machine may see it only when it is gone
    stage.note(f"it says since when; after the grace period ({GRACE} s) it is gone")
    took = stage.until(
        "the entry is gone", lambda: ENTRY not in stage.mesh_quietly(GET_ENTRY), within=GRACE + 3
    )
    gone = stage.mesh(GET_ENTRY, check=False)
    expect(ENTRY not in gone.replace(f'"{ENTRY}"', ""), "the entry is still there")
    stage.note(f"gone {took:.1f} s after it was seen disconnected")
