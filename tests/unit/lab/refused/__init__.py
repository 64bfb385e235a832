"""Documents with one fault each, and what is said of it: field, value and rule."""

from typing import Any

import yaml

from lab.controlplane.resources import read

PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
TO = {"destination": {"host": "a.test"}}


def complaint(kind: str, spec: Any, version: str = "networking.istio.io/v1", **metadata: Any) -> str:
    """Behind the place; empty for what is accepted."""
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec}
    parsed = read(yaml.safe_dump(document), file="x.yaml")
    assert parsed.warnings == ()
    return "".join(str(each.why).removeprefix("x.yaml, document 1: ") for each in parsed.refused)
