"""What a request must look like for an HTTP route of a VirtualService to take it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lab.controlplane.kinds.document import Field

How = Literal["exact", "prefix", "regex", "present"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch:
    how: How
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpMatch:
    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = field(default_factory=dict)
    without_headers: Mapping[str, StringMatch] = field(default_factory=dict)
    query: Mapping[str, StringMatch] = field(default_factory=dict)
    port: int = 0
    source_labels: Mapping[str, str] = field(default_factory=dict)
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()


def read_match(at: Field) -> HttpMatch:
    return HttpMatch(
        name=at["name"].text(""),
        uri=read_string(at["uri"]),
        ignore_uri_case=at["ignoreUriCase"].flag(False),
        scheme=read_string(at["scheme"]),
        method=read_string(at["method"]),
        authority=read_string(at["authority"]),
        headers=read_strings(at["headers"]),
        without_headers=read_strings(at["withoutHeaders"]),
        query=read_strings(at["queryParams"]),
        port=at["port"].port(0),
        source_labels=at["sourceLabels"].labels(),
        source_namespace=at["sourceNamespace"].text(""),
        gateways=at["gateways"].texts(),
    )


def read_strings(at: Field) -> dict[str, StringMatch]:
    return {key: read_string(at[key]) or StringMatch(how="present") for key in at.names()}


def read_string(at: Field) -> StringMatch | None:
    """``{}`` asks only that there is one; so does the regex ``*``, which is none."""
    if at.absent:
        return None
    kinds: tuple[How, ...] = ("exact", "prefix", "regex")
    said = [kind for kind in kinds if kind in at]
    if len(said) > 1:
        raise at.bad(f"write one of {', '.join(kinds)}")
    if not said:
        return StringMatch(how="present")
    value = at[said[0]].text("")
    if said[0] == "regex":
        if value == "*":
            return StringMatch(how="present")
        check_regex(at["regex"], value)
    return StringMatch(how=said[0], value=value)


def check_regex(at: Field, value: str) -> None:
    """Envoy takes RE2, which is Python's expressions without what needs memory."""
    try:
        re.compile(value)
    except re.error as why:
        raise at.bad(f"{why}; Istio uses RE2 style regex-based match") from why
