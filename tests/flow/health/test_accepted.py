"""A probe that the configuration accepts can be run: it fails at worst, and never raises."""

import json

import pytest

from tests.ports import free_port
from tests.unit.config import vm
from vmagent import wiring
from vmagent.config.model import Json, Probe
from vmagent.health.checks import Checks

check = Checks().check

HOSTS = (
    *(
        "",
        "127.0.0.1",
        "::1",
        "[::1]",
        "fe80::1%none",
        "a..b",
        ".x",
        "x.",
        ".",
        "a" * 64,
        "a" * 300,
        "x.y" * 99,
    ),
    *(
        "a b",
        "a\tb",
        "a\nb",
        "a\0b",
        "é",
        "é\n",
        "xn--",
        "xn--a",
        "straße.invalid",
        "\ud800",
        "%",
        "a/b",
        "\x7f",
    ),
)
TEXTS = (
    "",
    "a b",
    "a\tb",
    "a\nb",
    "a\rb",
    "a\0b",
    "\x01",
    "\x7f",
    "\x85",
    "é",
    "\ud800",
    "\udcff",
    "\U0001f600",
    "x" * 999,
)


def asked(method: str, **fields: Json) -> dict[str, Json]:
    return {method: fields if method == "exec" else {"port": 1, **fields}}


def header(name: str, value: str) -> dict[str, Json]:
    return asked("httpGet", httpHeaders=[{"name": name, "value": value}])


PROBES = [
    *(asked("tcpSocket", host=host) for host in HOSTS),
    *(asked("httpGet", host=host) for host in HOSTS),
    *(asked("httpGet", host=host, scheme="HTTPS") for host in HOSTS),
    *(asked("httpGet", path=text) for text in TEXTS),
    *(asked("httpGet", path=f"/{text}?{text}") for text in TEXTS),
    *(header("Host", text) for text in TEXTS),
    *(header(text, "") for text in TEXTS),
    *(asked("exec", command=[f"/none/{text}", text]) for text in TEXTS),
    *(asked("exec", command=["/bin/true", text]) for text in TEXTS),
    *(asked("grpc", service=text) for text in TEXTS),
    *({**asked("tcpSocket"), key: -1} for key in ("periodSeconds", "timeoutSeconds", "failureThreshold")),
]


def accepted(document: dict[str, Json], port: int) -> Probe | None:
    """What a mesh file that says so makes of it, if it is sound."""
    said = json.loads(json.dumps(document).replace('"port": 1', f'"port": {port}'))
    mesh = json.dumps({"defaultConfig": {"readinessProbe": said}})
    if vm.complaints(mesh=mesh):
        return None
    return vm.config(mesh=mesh).probe


@pytest.mark.parametrize("document", PROBES, ids=ascii)
async def test_every_probe_that_is_accepted_can_be_run(document: dict[str, Json]) -> None:
    probe = accepted(document, free_port())
    if probe is not None:
        assert await check(wiring.probe(probe)) != ""


def test_the_probes_above_are_of_both_kinds() -> None:
    """Else the test above would have nothing to run, or nothing that could go wrong."""
    kept = [document for document in PROBES if accepted(document, 1)]
    assert 40 < len(kept) < len(PROBES) - 20
