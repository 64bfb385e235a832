"""One story as it is declared: hosts, resources in the order of use, and what must be seen. Values only.

Owns:      reading scene.yaml.
Does not:  raise anything (raising.py), look at anything (looking.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lab.hosts.errors import LabError
from lab.hosts.world import ROOT, machine_of
from lab.scenes.fields import Fields

SCENARIOS: Final = ROOT / "lab" / "scenarios"
STORY: Final = SCENARIOS / "01-vm-joins-the-mesh"
FILE: Final = "scene.yaml"
LONGEST: Final = 60
"""Seconds that something may take to be seen."""

SERVERS: Final = ("web", "tls", "mutual-tls", "mongod", "socket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """How a host comes into the mesh."""

    group: Path
    """A WorkloadGroup, for ``vmagent entry configure -f``."""
    router: bool = False
    registers: bool = False
    captures_dns: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    """Written into cluster.env beside those of the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    kind: str
    where: str
    """A port, or the path of a socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a host has to be. ``None``: as it is."""

    host: str
    joins: Joining | None = None
    leaves: bool = False
    serves: tuple[Server, ...] | None = None
    sysctl: Mapping[str, str]
    brings: tuple[str, ...] = ()
    """Programs of lab/hosts that are there to be run."""
    hosts: tuple[str, ...] = ()
    """Lines of /etc/hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    says: str
    host: str
    run: str
    """A line of bash."""
    answers: frozenset[str] | None = None
    """The different lines that it prints, exactly."""
    contains: tuple[str, ...] = ()
    """Texts in what it prints."""
    lacks: tuple[str, ...] = ()
    within: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    says: str
    apply: tuple[Path, ...] = ()
    delete: tuple[Path, ...] = ()
    mesh: Mapping[str, Any]
    """Keys of the mesh's configuration, over what it has."""
    see: tuple[Look, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    name: str
    title: str
    document: str
    names: Mapping[str, str]
    """What the world's DNS knows: name to address."""
    before: tuple[Path, ...]
    """Resources that are there before anybody joins."""
    parts: tuple[Part, ...]
    phases: tuple[Phase, ...]


CLIENT: Final = Part(host="client", joins=Joining(group=STORY / "client-sidecar.yaml"), sysctl={})
"""Every story has a client in the mesh."""


def scenes() -> Iterator[Scene]:
    for path in sorted(SCENARIOS.glob(f"*/{FILE}")):
        yield read(path.parent)


def find(word: str) -> Scene:
    """By name, path or the beginning of a name that no other has. Raises LabError."""
    names = sorted(path.parent.name for path in SCENARIOS.glob(f"*/{FILE}"))
    wanted = Path(word).name
    found = [name for name in names if name == wanted or name.split("-")[0] == wanted]
    found = found or [name for name in names if name.startswith(wanted)]
    if len(found) != 1:
        what = "no scenario begins with" if not found else f"{' and '.join(found)} begin with"
        raise LabError(f"{what} {wanted!r}", hint=f"one of: {', '.join(names)}")
    return read(SCENARIOS / found[0])


def read(directory: Path) -> Scene:
    """Raises LabError naming file, key and value."""
    path = directory / FILE
    try:
        text = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as why:
        raise LabError(f"{path}: {' '.join(str(why).split())}", hint="copy another scene's") from None
    at = Fields(text, str(path), directory)
    at.only("title", "document", "names", "before", "hosts", "phases")
    parts = tuple(_part(name, fields) for name, fields in at.mapping("hosts"))
    if "client" not in {part.host for part in parts if part.joins or part.leaves}:
        parts = (CLIENT, *parts)
    return Scene(
        name=directory.name,
        title=at.text("title"),
        document=at.text("document"),
        names=at.texts_by_name("names"),
        before=at.files("before"),
        parts=parts,
        phases=tuple(_phase(fields) for fields in at.each("phases")),
    )


_PART: Final = (
    "joins", "router", "registers", "captures-dns", "labels", "leaves", "serves", "sysctl", "brings", "hosts",
)  # fmt: skip


def _part(name: str, at: Fields) -> Part:
    machine_of(name)
    at.only(*_PART)
    group = at.file("joins")
    joins = None
    if group:
        joins = Joining(
            group=group,
            router=at.flag("router", False),
            registers=at.flag("registers", False),
            captures_dns=at.flag("captures-dns", True),
            labels=tuple(sorted(at.texts_by_name("labels").items())),
        )
    return Part(
        host=name,
        joins=joins,
        leaves=at.flag("leaves", False),
        serves=tuple(_server(at, each) for each in at.texts("serves")) if "serves" in at else None,
        sysctl=at.texts_by_name("sysctl"),
        brings=at.texts("brings"),
        hosts=at.texts("hosts"),
    )


def _server(at: Fields, text: str) -> Server:
    kind, _, where = text.partition(":")
    if kind not in SERVERS:
        raise at.wrong("serves", text, f"write KIND:PORT with one of {', '.join(SERVERS)}")
    standard = {"web": "80", "tls": "443"}.get(kind, "")
    if not (where or standard):
        raise at.wrong("serves", text, "say on which port, or at which path")
    return Server(kind=kind, where=where or standard)


def _phase(at: Fields) -> Phase:
    at.only("says", "apply", "delete", "mesh", "see")
    return Phase(
        says=at.text("says"),
        apply=at.files("apply"),
        delete=at.files("delete"),
        mesh=at.anything("mesh"),
        see=tuple(_look(fields) for fields in at.each("see")),
    )


def _look(at: Fields) -> Look:
    at.only("says", "host", "run", "answers", "contains", "lacks", "within")
    if not {"answers", "contains", "lacks"} & set(at):
        raise at.wrong("answers", None, "say what is seen: answers, contains or lacks")
    return Look(
        says=at.text("says"),
        host=machine_of(at.text("host", "client")).name,
        run=at.text("run"),
        answers=frozenset(at.texts("answers")) if "answers" in at else None,
        contains=at.texts("contains"),
        lacks=at.texts("lacks"),
        within=at.number("within", 15.0, most=LONGEST),
    )
