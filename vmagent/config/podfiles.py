"""Labels and annotations as Kubernetes' downward API writes them: one ``key="value"`` a line.

Owns:      that grammar, and which annotations mean something to the agent.
Does not:  read the files (load.py); know what labels are for.
Surprise:  a line without ``=`` is passed over, as Istio's agent does; a value whose quotes are wrong is an
           error here, where Istio's agent drops the whole file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vmagent.config.problem import Problem

PLACE: Final = "etc/istio/pod"
"""Below ``base``, with the files ``labels`` and ``annotations``."""

PROXY_CONFIG: Final = "proxy.istio.io/config"
DISCOVERY: Final = "sidecar.istio.io/discoveryAddress"
STATUS_PORT: Final = "status.sidecar.istio.io/port"
EXCLUDED_INTERFACES: Final = "traffic.sidecar.istio.io/excludeInterfaces"

_NOT_OURS: Final = frozenset({"pod-template-hash"})
"""Labels that tell pods of one deployment apart, and so do not belong to the workload."""

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)")
_SHORT: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"',
}  # fmt: skip
"""Go's escapes, which is how the kubelet quotes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFile:
    """``present``: there is such a file, be it an empty one."""

    values: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    present: bool = False
    path: str = ""

    def where(self, key: str) -> str:
        return f"{self.path}:{self.lines.get(key, 1)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What a pod's files say of this machine; without them everything is empty."""

    labels: PodFile
    annotations: PodFile

    @property
    def problems(self) -> tuple[Problem, ...]:
        return (*self.labels.problems, *self.annotations.problems)

    @property
    def excluded_interfaces(self) -> frozenset[str]:
        listed = self.annotations.values.get(EXCLUDED_INTERFACES, "").split(",")
        return frozenset(name.strip() for name in listed if name.strip())


def pod(labels: bytes | None, annotations: bytes | None, place: str) -> Pod:
    """``place`` is the directory, for messages. None: there is no such file."""
    found = parse(labels, f"{place}/labels")
    kept = {key: value for key, value in found.values.items() if key not in _NOT_OURS}
    own = PodFile(
        values=kept, lines=found.lines, problems=found.problems, present=found.present, path=found.path
    )
    return Pod(labels=own, annotations=parse(annotations, f"{place}/annotations"))


def parse(data: bytes | None, path: str) -> PodFile:
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate((data or b"").decode(errors="replace").splitlines(), 1):
        key, equals, quoted = line.partition("=")
        if not equals:
            continue
        try:
            values[key.strip()] = _unquoted(quoted.strip())
            lines[key.strip()] = number
        except ValueError as remedy:
            why = "not in quotes"
            problems.append(
                Problem(where=f"{path}:{number}", key=key, value=quoted, why=why, remedy=str(remedy))
            )
    return PodFile(values=values, lines=lines, problems=tuple(problems), present=data is not None, path=path)


def _unquoted(text: str) -> str:
    match = _QUOTED.fullmatch(text)
    if match is None:
        raise ValueError('write KEY="VALUE", as the downward API of Kubernetes does')
    return _ESCAPE.sub(_meant, match[1])


def _meant(escape: "re.Match[str]") -> str:
    word = escape[1]
    if word in _SHORT:
        return _SHORT[word]
    if word[0] in "xuU" and len(word) > 1 and int(word[1:], 16) <= 0x10FFFF:
        return chr(int(word[1:], 16))
    if word.isdigit():
        return chr(int(word, 8))
    raise ValueError(f"\\{word} is no escape; write \\\\ for a backslash")
