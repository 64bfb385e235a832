"""How long a scrape may take, and who counts as being on this machine."""

import pytest

from vmagent.status.handler import local
from vmagent.status.process import read
from vmagent.status.scrape import LONGEST, PATIENCE, patience


@pytest.mark.parametrize("said", ["", "soon", "-1", "0", "nan", "inf"])
def test_a_timeout_that_is_none_is_not_believed(said: str) -> None:
    assert patience(said) == PATIENCE


def test_the_answer_leaves_before_the_scraper_stops_waiting() -> None:
    assert patience("10") == pytest.approx(8)
    assert patience("0.5") == pytest.approx(0.4)
    assert patience("86400") == LONGEST


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.9.1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert local(host)


@pytest.mark.parametrize(
    "host", ["192.168.0.204", "::ffff:192.168.0.204", "fe80::1%eth0", "2001:db8::1", "127.0.0.6", "::6"]
)
def test_other_machines_are_not_even_when_envoy_passes_them_on(host: str) -> None:
    assert not local(host)


def test_the_kernel_tells_about_this_process() -> None:
    seen = read()
    assert seen.virtual_bytes > seen.resident_bytes > 1_000_000
    assert seen.started is not None
    assert seen.started > 1_000_000_000
    assert seen.open_files > 0
    assert seen.cpu_seconds > 0
