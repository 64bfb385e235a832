from pathlib import Path

import pytest

from vmagent.runtime import precedence


@pytest.mark.parametrize(("given", "kept"), [("-300\n", "0"), ("0\n", "0\n"), ("200\n", "200\n")])
def test_the_agent_gives_up_what_the_unit_gave_envoy_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    score = tmp_path / "oom_score_adj"
    score.write_text(given)
    monkeypatch.setattr(precedence, "_SCORE", score)
    precedence.give_way()
    assert score.read_text() == kept


def test_a_machine_that_tells_no_score_costs_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precedence, "_SCORE", tmp_path / "none")
    precedence.give_way()
    assert "the kernel may take Envoy before the agent" in caplog.text
