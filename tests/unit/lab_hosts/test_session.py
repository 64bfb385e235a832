import shlex
from pathlib import Path

from lab.hosts.virtual import session
from lab.hosts.world import Places


def test_what_is_run_over_ssh_arrives_word_for_word() -> None:
    argv = ["sh", "-c", 'echo "$0"; true', "it's one word"]
    line = session.command(Places("demo"), Path("/run/state"), "192.168.0.204", argv)
    assert shlex.split(line[-1]) == argv


def test_nothing_of_whoever_runs_the_lab_opens_a_machine_or_is_asked_for() -> None:
    line = session.command(Places("demo"), Path("/run/state"), "192.168.0.204", ["true"])
    assert line[:2] == ["/usr/bin/nsenter", "--net=/run/netns/vmlab-demo-switch"]
    for words in (["-F", "none"], ["-i", "/run/state/operator"]):
        assert words == line[line.index(words[0]) :][:2]
    for option in ("IdentitiesOnly=yes", "BatchMode=yes", "UserKnownHostsFile=/run/state/known_hosts"):
        assert option in line
