"""The environment as layers: who set what, what counts, what was overridden.

Owns:      precedence: cluster.env, sidecar.env, agent.env, the environment, the mesh file's proxyMetadata;
           and the collecting of problems: a bad value is noted, its default goes on, so that all are found.
Does not:  read files; know settings beyond the row it is handed.
Surprise:  files win over the environment, as in Istio's start script. proxyMetadata counts as environment
           of the lowest rank: Istio's API calls it that, its agent reads only part of it.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from vmagent.config import unused
from vmagent.config.envfile import EnvFile
from vmagent.config.model import Origin, Value
from vmagent.config.problem import Problem
from vmagent.config.setting import SETTINGS, Setting
from vmagent.config.settings import OWN

T = TypeVar("T")
Layer = Mapping[str, Value]


class Environment:
    """Every environment variable, of the highest rank first."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = tuple(layers)
        self.problems: list[Problem] = []
        self._seen: set[str] = set()

    def below(self, layer: Layer) -> "Environment":
        """The same with one more layer of the lowest rank; problems found so far go along."""
        wider = Environment((*self._layers, layer))
        wider.problems, wider._seen = self.problems, self._seen
        return wider

    def values(self, name: str) -> tuple[Value, ...]:
        """Everybody who set it; the first one counts."""
        return tuple(layer[name] for layer in self._layers if name in layer)

    def value(self, setting: Setting[T]) -> Value:
        """The text that counts and its origin."""
        found = self.values(setting.name)
        if found and (found[0].text or setting.empty_counts):
            return found[0]
        return Value(text=setting.default, origin=Origin(kind="default", where="default"))

    def get(self, setting: Setting[T]) -> T:
        value = self.value(setting)
        try:
            return setting.parse(value.text)
        except ValueError as remedy:
            if setting.name not in self._seen:
                self._seen.add(setting.name)
                self.problem(setting.name, "not a value for this setting", str(remedy))
            return setting.parse(setting.default)

    def is_set(self, setting: Setting[T]) -> bool:
        """Somebody gave it an answer: something, or nothing where nothing is one."""
        found = self.values(setting.name)
        return bool(found) and (bool(found[0].text) or setting.empty_counts)

    def problem(self, name: str, why: str, remedy: str) -> None:
        """Note that the value of ``name`` will not do."""
        found = self.values(name)
        self.problems.append(
            Problem(
                where=str(found[0].origin) if found else "environment",
                key=name,
                value=found[0].text if found else None,
                why=why,
                remedy=remedy,
            )
        )

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """In order of rank, then as they stand."""
        return tuple(
            dict.fromkeys(name for layer in self._layers for name in layer if name.startswith(prefix))
        )

    def text(self, name: str) -> str:
        """What counts, unparsed; empty if nobody set it."""
        found = self.values(name)
        return found[0].text if found else ""


def from_file(file: EnvFile, kind: Literal["cluster.env", "sidecar.env", "agent.env"]) -> Layer:
    return {
        key: Value(text=entry.value, origin=Origin(kind=kind, where=entry.where))
        for key, entry in file.values.items()
    }


def from_environment(environ: Mapping[str, str]) -> Layer:
    origin = Origin(kind="environment", where="environment")
    return {key: Value(text=text, origin=origin) for key, text in environ.items()}


def unknown(environment: Environment) -> list[Problem]:
    """Names that mean nothing to us, with the nearest that does.

    In the process environment, where half of the world keeps its settings, only names that begin as ours do.
    """
    found: list[Problem] = []
    known = SETTINGS.keys() | unused.UNUSED.keys()
    for name in environment.names():
        value = environment.values(name)[0]
        foreign = value.origin.kind == "environment" and not name.startswith(OWN)
        if name in known or foreign:
            continue
        made_up = name.startswith(unused.OPEN_PREFIXES)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.9 if made_up else 0.75)
        if made_up and not close:
            continue
        remedy = f"did you mean {close[0]}?" if close else "remove it if it is meant for the agent"
        found.append(
            Problem(where=str(value.origin), key=name, value=value.text, why="no such setting", remedy=remedy)
        )
    return found
