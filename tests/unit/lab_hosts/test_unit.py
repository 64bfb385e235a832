"""The lab starts what the unit files say, so it must read them as systemd does, or refuse."""

import pytest

from lab.hosts.unit import Unit, seconds
from tests.conftest import ROOT

FULL = """
# a comment
[Unit]
Description=ignored = here

[Service]
; another
User=somebody
ExecStart=/usr/bin/thing run \\
  --flag 'two words'
Environment=A=1 "B=two words"
Environment=C=3
RuntimeDirectory=thing
RuntimeDirectoryMode=0750
RuntimeDirectoryPreserve=yes
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
NoNewPrivileges=yes
LimitNOFILE=4096
UMask=0027
TimeoutStopSec=1min 30s
"""


def service(*lines: str) -> str:
    return "\n".join(("[Service]", *lines, ""))


def test_what_decides_about_a_start_is_read() -> None:
    assert Unit.parse(FULL, name="thing.service") == Unit(
        name="thing.service",
        command=("/usr/bin/thing", "run", "--flag", "two words"),
        user="somebody",
        environment={"A": "1", "B": "two words", "C": "3"},
        runtime_directory="thing",
        runtime_directory_mode=0o750,
        keeps_runtime_directory=True,
        capabilities=("net_admin", "net_raw"),
        no_new_privileges=True,
        open_files=4096,
        umask=0o027,
        stop_timeout=90.0,
    )


def test_what_is_not_said_is_systemds_default() -> None:
    unit = Unit.parse(service("ExecStart=/bin/true"), name="x")
    assert (unit.user, unit.capabilities, unit.stop_timeout) == ("root", None, 90.0)
    assert unit.confined()[-5:] == ["setpriv", "--reuid=root", "--regid=root", "--init-groups", "/bin/true"]
    assert unit.confined()[-7:-5] == ["0022", ""]


def test_an_empty_assignment_takes_back_what_was_said_before() -> None:
    lines = ("ExecStart=/bin/true", "Environment=A=1", "Environment=", "CapabilityBoundingSet=CAP_SYS_ADMIN")
    unit = Unit.parse(service(*lines, "CapabilityBoundingSet="), name="x")
    assert (unit.environment, unit.capabilities) == ({}, ())


def test_a_service_without_capabilities_loses_all_of_them() -> None:
    unit = Unit.parse(service("ExecStart=/bin/true", "User=u", "CapabilityBoundingSet="), name="x")
    assert "--bounding-set=-all" in unit.confined()


def test_what_a_drop_in_adds_is_there_from_the_start_although_the_user_is_not_root() -> None:
    lines = ("ExecStart=/bin/true", "User=u", "CapabilityBoundingSet=", "AmbientCapabilities=")
    more = ("CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE")
    unit = Unit.parse(service(*lines, *more), name="x")
    line = unit.confined()
    for flag in ("bounding-set", "inh-caps", "ambient-caps"):
        assert f"--{flag}=-all,+net_bind_service" in line


@pytest.mark.parametrize(
    "line",
    [
        "ExecStart=+/bin/true",
        "ExecStart=true",
        "ExecStart=/bin/echo $HOME",
        "ExecStart=/bin/echo %n",
        "CapabilityBoundingSet=~CAP_SYS_ADMIN",
        "TimeoutStopSec=a while",
        "RuntimeDirectoryMode=rwx",
        "UMask=rwx",
        "LimitNOFILE=infinity",
        "Environment=JUSTANAME",
        "no assignment",
    ],
)
def test_what_the_lab_would_do_otherwise_than_systemd_is_refused_by_name(line: str) -> None:
    with pytest.raises(ValueError, match=r"^x\.service: "):
        Unit.parse(service("ExecStart=/bin/true", line), name="x.service")


@pytest.mark.parametrize(
    ("text", "meant"), [("45", 45.0), ("45s", 45.0), ("2min", 120.0), ("1h 500ms", 3600.5), ("1min30s", 90.0)]
)
def test_time_spans_are_those_of_systemd(text: str, meant: float) -> None:
    assert seconds(text) == meant


def shipped(name: str) -> Unit:
    return Unit.parse((ROOT / "systemd" / name).read_text(), name=name)


def test_the_daemon_has_no_capability_and_is_not_root() -> None:
    unit = shipped("istio-agent.service")
    assert unit.command == ("/usr/bin/vmagent", "proxy")
    assert (unit.user, unit.capabilities, unit.no_new_privileges) == ("istio-proxy", (), True)


def test_capture_can_change_rules_and_read_files_and_nothing_else() -> None:
    unit = shipped("istio-capture.service")
    assert unit.command == ("/usr/bin/vmagent", "capture", "hold")
    assert unit.user == "root"
    assert set(unit.capabilities or ()) == {"net_admin", "net_raw", "dac_read_search"}


def test_the_manifest_of_rules_outlives_the_process_that_wrote_it() -> None:
    assert shipped("istio-capture.service").keeps_runtime_directory
