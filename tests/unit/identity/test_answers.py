from pathlib import Path

from grpc import StatusCode

from tests.conftest import ROOT
from vmagent.identity.answers import REACTIONS, Reaction

PAGE: Path = ROOT / "docs" / "certificates.md"


def test_every_answer_has_its_reaction() -> None:
    assert REACTIONS.keys() == set(StatusCode)


def test_what_istios_agent_repeats_within_seconds_is_repeated() -> None:
    """The codes of its retry interceptor (spec: security-xds-health 1.8)."""
    for name in (
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "INTERNAL",
        "UNAVAILABLE",
    ):
        assert REACTIONS[StatusCode[name]] is Reaction.RETRY


def test_the_page_for_operators_says_the_same() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    told = {}
    for row in rows:
        names, said, *_ = (cell.strip() for cell in row.strip("| ").split("|"))
        for name in names.replace("`", "").split(", "):
            told[name] = said.partition(":")[0]
    words = {Reaction.RETRY: "retry", Reaction.NEW_TOKEN: "new token", Reaction.GIVE_UP: "give up"}
    for code, reaction in REACTIONS.items():
        if code is not StatusCode.OK:
            assert told.get(code.name) == words[reaction]
