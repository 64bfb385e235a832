"""The process ends between any two steps of writing any state file: what the next one finds is the old state
or the new one, and nothing of the try stays for long.
"""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from tests.unit.envoy.examples import below
from vmagent.capture import manifest
from vmagent.capture.flavour import Tools
from vmagent.envoy.footprint import Footprint, Record
from vmagent.envoy.process import ProcessId
from vmagent.identity import store
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime import files
from vmagent.runtime.readiness import Readiness
from vmagent.status import document

FAR = 10**9
MOST = 500
"""Steps; the longest has about 250."""
PATIENCE = 30.0
WRITERS = ("vmagent/runtime/files.py", "/tempfile.py", "/pathlib.py")


FORKING = multiprocessing.get_context("forkserver")
"""From a process of its own: a fork beside threads, as gRPC has them here, may stand still for ever."""
FORKING.set_forkserver_preload([__name__])


def survived(step: int, work: Callable[..., None], *arguments: object) -> bool:
    """False if ``work`` was ended by SIGKILL, which comes before the ``step``-th call out of the code that
    writes: every system call is behind one. What it is given goes to another process.
    """
    process = FORKING.Process(target=until, args=(step, work, *arguments))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def until(step: int, work: Callable[..., None], *arguments: object) -> None:
    left = step

    def count(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal left
        left -= event == "c_call" and frame.f_code.co_filename.endswith(WRITERS)
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    work(*arguments)
    sys.setprofile(None)


def credentials(place: Path, name: str) -> None:
    spiffe = SpiffeId.parse("spiffe://cluster.local/ns/n/sa/a")
    key, chain, root = (f"{part} {name}\n".encode() * 1000 for part in ("key", "chain", "root"))
    store.save(
        place,
        Credential(spiffe=spiffe, key_pem=key, chain_pem=chain, root_pem=root, not_before=0, not_after=1),
    )


def credential(place: Path) -> str:
    newest = store.load(place)[0]
    names = {part.split()[1].decode() for part in (newest.key, newest.chain, newest.root)}
    assert len(names) == 1, "halves of two"
    return names.pop()


def footprint(place: Path) -> Footprint:
    return Footprint(below(place))


def record(place: Path, name: str) -> None:
    footprint(place).record(Record(ProcessId(1, 1.0), 0, name, ProcessId(2, 2.0)))


def recorded(place: Path) -> str:
    found = footprint(place).recorded()
    assert found is not None
    return found.digest


def documented(place: Path, name: str) -> None:
    document.write(place, document.Facts(version=name, pid=1, started=0, node="", gates={}))


def status(place: Path) -> str:
    return str(json.loads((place / document.FILE).read_bytes())["version"])


def rules(place: Path, name: str) -> None:
    tools = Tools(flavour="nft", iptables="/i", ip6tables="", version=name)
    made = manifest.Manifest(
        state="applied", tools=tools, passthrough6=False, hold="nft", outbound_port=1, families={}
    )
    manifest.store(place, made)


def ruled(place: Path) -> str:
    found = manifest.load(place)
    assert found is not None
    return found.tools.version


def gate(place: Path, name: str) -> None:
    Readiness("xds", directory=place).close("xds", name)


def gated(place: Path) -> str:
    found = (place / "xds").read_text().strip().removeprefix("waiting: ")
    return "old" if found == "starting" else found


STATES = {
    "certificate": (credentials, credential),
    "which Envoy is ours": (record, recorded),
    "status": (documented, status),
    "packet rules": (rules, ruled),
    "gate": (gate, gated),
}


@pytest.mark.parametrize("state", STATES)
def test_power_fails_at_any_step_and_what_is_found_is_whole(tmp_path: Path, state: str) -> None:
    write, read = STATES[state]
    assert survived(FAR, write, tmp_path, "old")
    found, step = [], 0
    while step < MOST:
        step += 1
        done = survived(step, write, tmp_path, "new")
        found.append(read(tmp_path))
        if done:
            break
        assert survived(FAR, write, tmp_path, "old")
        assert read(tmp_path) == "old"
    print(f"{state}: {step} steps, the new state from step {found.index('new') + 1} on")
    assert set(found) == {"old", "new"}
    assert found[-1] == "new"
    unfinished = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert unfinished == []


def secretly(place: Path) -> None:
    files.write(place / "key.pem", b"secret", mode=0o600)


def test_what_a_killed_process_left_of_its_try_is_private(tmp_path: Path) -> None:
    for step in range(1, MOST):
        if survived(step, secretly, tmp_path):
            break
        for left in tmp_path.iterdir():
            assert left.stat().st_mode & 0o077 == 0
