import pytest

from vmagent.health.config import Exec, Header, HttpGet, ProbeConfig


def test_the_defaults_are_those_of_the_api() -> None:
    """The API documents a failureThreshold of 3; the code of Istio's agent takes 1."""
    probe = ProbeConfig(method=HttpGet(port=80))
    assert (probe.initial_delay, probe.timeout, probe.period) == (0, 1, 10)
    assert (probe.success_threshold, probe.failure_threshold) == (1, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0.0},
        {"period": 0.0},
        {"initial_delay": -1.0},
        {"success_threshold": 0},
        {"failure_threshold": 0},
    ],
)
def test_a_probe_that_cannot_run_cannot_be_built(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        ProbeConfig(method=HttpGet(port=80), **wrong)  # type: ignore[arg-type]  # any field


@pytest.mark.parametrize("command", [(), ("",)])
def test_an_exec_probe_needs_a_command(command: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        Exec(command=command)


@pytest.mark.parametrize(
    ("name", "value"), [("a b", ""), ("", ""), ("a:", ""), ("a", "b\r\nc: d"), ("a", "\0")]
)
def test_a_header_cannot_smuggle_another(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        Header(name=name, value=value)
