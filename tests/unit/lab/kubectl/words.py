"""What is typed, and the documents of it."""

from typing import Any

from click.testing import CliRunner, Result

from lab.cli import main
from tests.unit.lab.served import entry, to


def lab(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, words, input=given)


def apply(*documents: str) -> Result:
    return lab("apply", "-f", "-", given="---\n".join(documents))


STORY = (
    entry("nginx.jd.com", "80/HTTP", name="svc-entry", location="MESH_INTERNAL"),
    entry("www.baidu.com", "80/HTTP", "443/TLS", name="baidu", resolution="DNS", namespace="default"),
)

WAY: dict[str, Any] = {"http": [{"route": [to("nginx.jd.com")]}]}
