"""The table of Istio's extensions, and what the documentation says of it."""

import re

from tests.conftest import ROOT
from vmagent.xds.compatibility.catalogue import BY_NAME, ENVOYS, EXTENSIONS, UNKNOWN, Verdict

ROW = re.compile(r"\| `(?P<name>[^`]+)` \| (?P<types>`[^|]+`) \| (?P<verdict>[^|]+) \| (?P<reason>[^|]+) \|")


def test_the_documentation_shows_every_extension_with_its_verdict_and_reason() -> None:
    text = (ROOT / "docs" / "compatibility.md").read_text()
    told = [match.groupdict() for match in ROW.finditer(text)]
    assert told == [
        {
            "name": each.name,
            "types": ", ".join(f"`{name}`" for name in each.types),
            "verdict": each.verdict.value,
            "reason": each.reason,
        }
        for each in (*EXTENSIONS, *ENVOYS)
    ]
    assert UNKNOWN.replace("unknown: ", "") in text


def test_only_what_observes_is_taken_out() -> None:
    for each in (*EXTENSIONS, *ENVOYS):
        observes = each.reason.startswith(("telemetry: ", "peer metadata: ", "ALPN: "))
        assert (each.verdict is Verdict.OUT) == observes, each.name
        decides = each.reason.startswith(
            ("authentication", "authorization", "rate limits", "routing", "WasmPlugin")
        )
        assert decides != observes, each.name


def test_no_type_stands_in_the_table_twice_and_a_shared_name_has_one_verdict() -> None:
    types = [name for each in (*EXTENSIONS, *ENVOYS) for name in each.types]
    assert len(types) == len(set(types))
    for each in EXTENSIONS:
        for name in (each.name, *each.registered):
            assert BY_NAME[name].verdict is each.verdict
