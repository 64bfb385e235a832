"""Where a dump comes from: the Envoy in a host of the lab, or a file."""

import json
from pathlib import Path
from typing import Final

from lab.hosts.errors import LabError
from lab.hosts.lab import Lab
from lab.hosts.loopback import Unanswered, ask
from lab.proxyconfig.dump import Json

ADMIN_PORT: Final = 15000
"""Envoy's own page, on the loopback of its host (proxyAdminPort)."""

PATIENCE: Final = 30.0
"""Seconds; a proxy of a mesh of 10 000 services writes for several."""

CONFIGURATION: Final = "/config_dump?include_eds"
LIVE: Final = "/clusters?format=json"


def dump(lab: Lab, host: str | None, file: Path | None, path: str) -> Json:
    """Raises LabError, which names the host or the file."""
    if file is not None:
        try:
            return _parsed(file.read_text(), str(file))
        except (OSError, UnicodeDecodeError) as why:
            raise LabError(f"{file} cannot be read: {why}") from None
    assert host is not None
    there = lab.host(host)
    try:
        answer = ask(there, ADMIN_PORT, path, patience=PATIENCE)
    except Unanswered as why:
        raise LabError(
            f"{host}: no Envoy answers at 127.0.0.1:{ADMIN_PORT}: {why}", hint=f"lab logs {host}"
        ) from None
    return _parsed(answer.text, f"{host}, 127.0.0.1:{ADMIN_PORT}{path}")


def _parsed(text: str, where: str) -> Json:
    try:
        return json.loads(text)
    except ValueError as why:
        raise LabError(
            f"{where} is no JSON: {why}", hint="what Envoy's admin port prints at /config_dump?include_eds"
        ) from None
