import logging

from vmagent.runtime.logs import IstioFormatter


def test_a_line_has_time_level_scope_and_message_behind_tabs() -> None:
    record = logging.LogRecord("sds", logging.INFO, "", 0, "SDS: PUSH\tresource=%s", ("default",), None)
    record.created = 1621612838.2432
    line = IstioFormatter().format(record)
    assert line == "2021-05-21T16:00:38.243200Z\tinfo\tsds\tSDS: PUSH\tresource=default"


def test_the_default_scope_is_left_out() -> None:
    record = logging.LogRecord("default", logging.WARNING, "", 0, "hm", (), None)
    assert IstioFormatter().format(record).split("\t")[1:] == ["warn", "hm"]
