import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmagent.capture.attempt import Failure, attempt
from vmagent.capture.hold import Holder, Options, hold, parse
from vmagent.errors import Misconfigured
from vmagent.runtime import files
from vmagent.runtime.systemd import OUTSIDE


def test_the_defaults_are_the_paths_of_the_units() -> None:
    assert parse([]) == Options()
    assert (str(Options().directory), str(Options().agent)) == ("/run/istio-capture", "/run/istio-agent")
    assert Options().apply[1:] == ("-I", "-m", "vmagent", "capture", "apply")


def test_options_are_words_with_an_equals_sign() -> None:
    options = parse(
        ["--directory=/a", "--agent=/b", "--gates=xds,dns", "--apply=/usr/bin/vmagent capture apply"]
    )
    assert options == Options(
        directory=Path("/a"),
        agent=Path("/b"),
        gates=("xds", "dns"),
        apply=("/usr/bin/vmagent", "capture", "apply"),
    )
    assert parse(["--agent=/b"]).gates == ("config", "identity", "xds", "dns", "envoy")


@pytest.mark.parametrize("word", ["--gate=x", "--agent", "--agent=", "now"])
def test_an_option_it_does_not_know_is_refused(word: str) -> None:
    with pytest.raises(Misconfigured, match="does not know"):
        parse([word])


def test_a_wrong_option_is_an_exit_status_not_a_traceback() -> None:
    assert hold(["--nonsense=1"]) == os.EX_CONFIG


@pytest.mark.effects
@pytest.mark.parametrize(
    ("status", "meaning"), [(78, "must be edited"), (75, "missing"), (1, "exit status 1")]
)
def test_what_apply_quotes_is_for_the_log_alone(status: int, meaning: str) -> None:
    failure = attempt(("sh", "-c", f"printf 'one\\nroot:hunter2 \\377\\n' >&2; exit {status}"))
    assert isinstance(failure, Failure)
    assert failure.private == "one; root:hunter2 \ufffd"
    assert meaning in failure.public
    assert "hunter2" not in failure.public


@pytest.mark.effects
def test_an_apply_that_cannot_be_started_is_told_by_its_name() -> None:
    failure = attempt(("/nowhere/vmagent",))
    assert failure is not None
    assert failure.public == "/nowhere/vmagent: No such file or directory"
    assert attempt(("true",)) is None


@pytest.mark.effects
def test_what_an_apply_that_was_killed_had_started_ends_with_it(tmp_path: Path) -> None:
    """An iptables that waits for its lock would write after the rules were taken back."""
    told = tmp_path / "pid"
    failure = attempt(("sh", "-c", f"sleep 600 >/dev/null 2>&1 & echo $! >{told}; kill -KILL $$"))
    assert failure is not None
    assert "exit status -9" in failure.public
    deadline = time.monotonic() + 20
    while running(int(told.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.effects
def test_the_long_lived_process_loads_nothing_it_does_not_need() -> None:
    code = (
        "import sys, vmagent.capture.hold;"
        "print(sorted({'click','grpc','yaml','iptc','asyncio','psutil','vmagent.capture.config',"
        "'vmagent.capture.plan'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.effects
@pytest.mark.parametrize(
    ("said", "answers"),
    [
        ("open", True),
        ("waiting: starting", True),
        ("waiting: /var/lib/istio/envoy/cluster.env is wrong", False),
        (None, True),  # a full disk: it cannot say anything
    ],
)
def test_an_agent_that_waits_for_its_files_answers_no_name_and_one_that_cannot_tell_may(
    tmp_path: Path, said: str | None, answers: bool
) -> None:
    assert files.Lock(tmp_path / "lock").acquire() is None
    gates = files.directory(tmp_path / "gates", mode=0o755)
    if said is not None:
        files.write(gates / "config", said.encode(), mode=0o644)
    holder = Holder(Options(directory=tmp_path / "capture", agent=tmp_path), OUTSIDE)
    assert holder._look(1.0).agent is answers
