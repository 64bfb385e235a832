"""Host names as istiod compares them: with wildcards, short names, and one closest match.

Does not:  resolve anything.
"""

import re
from collections.abc import Iterable
from typing import Final

WILDCARD: Final = "*"

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.IGNORECASE)
_FIRST_LABEL: Final = re.compile(r"\*|\*?-?[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.IGNORECASE)
_LONGEST_NAME: Final = 255
_LONGEST_LABEL: Final = 63


def is_wildcard(host: str) -> bool:
    return host.startswith(WILDCARD)


def matches(one: str, other: str) -> bool:
    """Whether there is a name that both mean."""
    if is_wildcard(one) and is_wildcard(other):
        return one[1:].endswith(other[1:]) or other[1:].endswith(one[1:])
    if is_wildcard(one):
        return other.endswith(one[1:])
    return one.endswith(other[1:]) if is_wildcard(other) else one == other


def within(one: str, other: str) -> bool:
    """Whether every name that ``one`` means is one that ``other`` means."""
    if is_wildcard(other):
        return one.removeprefix(WILDCARD).endswith(other[1:]) and len(one) >= len(other)
    return one == other


def closest(host: str, candidates: Iterable[str]) -> str | None:
    """The candidate that says most about the host: itself, else the longest wildcard around it."""
    around = [each for each in candidates if each == host or (is_wildcard(each) and within(host, each))]
    return host if host in around else max(around, key=len, default=None)


def common(first: Iterable[str], second: Iterable[str]) -> list[str]:
    """The narrower of each pair that overlaps, each once."""
    second = list(second)
    found: dict[str, None] = {}
    for one in first:
        for other in second:
            if within(one, other):
                found[one] = None
            elif within(other, one):
                found[other] = None
    return list(found)


def absolute(host: str, namespace: str, domain: str) -> str:
    """What a host of a VirtualService or DestinationRule means: without a dot, a Kubernetes service.

    This is the trap the documents warn about: a ServiceEntry's host is never completed so, and the two do
    not meet.
    """
    if "." in host or is_wildcard(host):
        return host
    return f"{host}.{namespace}.svc.{domain}"


def domain_problem(host: str, *, wildcard: bool) -> str:
    """Why this is no domain name ("" if it is one); ``wildcard``: whether its first label may be one."""
    if len(host) > _LONGEST_NAME:
        return f"domain name is longer than {_LONGEST_NAME} characters"
    first, *rest = host.removesuffix(".").split(".")
    pattern = _FIRST_LABEL if wildcard else _LABEL
    if first == WILDCARD and wildcard and not rest:
        return ""
    for label, form in [(first, pattern), *((each, _LABEL) for each in rest)]:
        if len(label) > _LONGEST_LABEL or form.fullmatch(label) is None:
            return f"{label!r} is no label of a domain name"
    return ""
