"""The mesh file and PROXY_CONFIG: YAML in, checked ProxyConfig out, each complaint with its line.

Owns:      YAML (the only module of this room that imports it), telling a MeshConfig document from a bare
           ProxyConfig.
Does not:  know what fields mean (proxyconfig.py); merge layers (layers.py).
Surprise:  a key that stands twice is an error: YAML libraries silently take the last.
"""

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

import yaml

from vmagent.config import schema
from vmagent.config.model import Json
from vmagent.config.problem import Problem
from vmagent.config.proxyconfig import MESH_CONFIG, PROXY_CONFIG

LARGEST: Final = 10_000
"""YAML nodes of one document, after aliases: a hundred times a large mesh.yaml, and no bomb."""

DEEPEST: Final = 30
"""Levels of nesting; a ProxyConfig needs eight."""

_SPACES = "indent with spaces: expand -i -t2 FILE > FILE.new && mv FILE.new FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML document as JSON, and the line of each key by its path."""

    value: Json
    lines: Mapping[schema.Path, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshFile:
    proxy_config: Mapping[str, Json]
    """Canonical: lowerCamelCase, enums by name. Empty if the document is."""
    trust_domain: str
    """MeshConfig.trustDomain; empty if not set."""
    problems: tuple[Problem, ...]
    unknown: tuple[Problem, ...]
    lines: Mapping[str, int]
    """Line of each ProxyConfig key, and of ``proxyMetadata.KEY``."""


class Unreadable(Exception):
    """Not one YAML document: the problem is its only argument."""


def parse(data: bytes, where: str, *, bare: bool = False) -> MeshFile:
    """``where`` names the file in messages. ``bare``: only a ProxyConfig will do (PROXY_CONFIG)."""
    try:
        document = load(data, where)
    except Unreadable as unreadable:
        return MeshFile(proxy_config={}, trust_domain="", problems=unreadable.args, unknown=(), lines={})
    value: Json = {} if document.value is None else document.value
    report = schema.Report()
    inside = 1
    if bare or _is_bare(value):
        value, inside = {"defaultConfig": schema.check(value, PROXY_CONFIG, (), report)}, 0
    else:
        value = schema.check(value, MESH_CONFIG, (), report)
    mesh = value if isinstance(value, dict) else {}
    proxy, trust = mesh.get("defaultConfig"), mesh.get("trustDomain")
    return MeshFile(
        proxy_config=proxy if isinstance(proxy, dict) else {},
        trust_domain=trust if isinstance(trust, str) else "",
        problems=tuple(problem(finding, document, where) for finding in report.wrong),
        unknown=tuple(problem(finding, document, where) for finding in report.unknown),
        lines=_lines(document.lines, inside),
    )


def _is_bare(value: Json) -> bool:
    return isinstance(value, dict) and any(schema.camel(key) in _ONLY_PROXY for key in value)


_ONLY_PROXY: Final = PROXY_CONFIG.fields.keys() - MESH_CONFIG.fields.keys()


def _lines(lines: Mapping[schema.Path, int], depth: int) -> dict[str, int]:
    """Those of the ProxyConfig, which begins ``depth`` levels down."""
    found: dict[str, int] = {}
    for path, line in lines.items():
        if depth and schema.camel(path[0]) != "defaultConfig":
            continue
        inner = path[depth:]
        if len(inner) == 1:
            found[schema.camel(inner[0])] = line
        elif len(inner) == 2 and schema.camel(inner[0]) == "proxyMetadata":
            found[f"proxyMetadata.{inner[1]}"] = line
    return found


def problem(finding: schema.Finding, document: Document, where: str) -> Problem:
    value = finding.value
    return Problem(
        where=f"{where}:{document.lines.get(finding.path, 1)}",
        key=".".join(finding.path),
        value=value
        if isinstance(value, str)
        else None
        if isinstance(value, dict | list)
        else json.dumps(value),
        why=finding.why,
        remedy=finding.remedy,
    )


# --- YAML -------------------------------------------------------------------------------------------------


def load(data: bytes, where: str) -> Document:
    """One YAML document. Raises ``Unreadable``."""
    return _document(load_all(data, where), where)


def _document(documents: list[Document], where: str) -> Document:
    if len(documents) > 1:
        raise Unreadable(_whole(where, f"{len(documents)} YAML documents", "keep one, without ---"))
    return documents[0] if documents else Document(value=None, lines={})


def load_all(data: bytes, where: str) -> list[Document]:
    """Every YAML document of a stream, separated by ``---``. Raises ``Unreadable``."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise Unreadable(_whole(where, why, "save the file as UTF-8", line)) from None
    try:
        loader = yaml.SafeLoader(text)
        try:
            return [_Reader(loader, where).document(node) for node in _nodes(loader)]
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise Unreadable(_syntax(error, text, where)) from None
    except RecursionError:  # of the YAML library, on a thousand opening brackets
        raise Unreadable(_whole(where, "too deeply nested", "copy the right file here")) from None


def _nodes(loader: yaml.SafeLoader) -> Iterator[yaml.Node]:
    while loader.check_node():
        node = loader.get_node()
        if node is not None:
            yield node


class _Reader:
    def __init__(self, loader: yaml.SafeLoader, where: str) -> None:
        self._loader = loader
        self._where = where
        self._left = LARGEST
        self._lines: dict[schema.Path, int] = {}

    def document(self, node: yaml.Node) -> Document:
        return Document(value=self._value(node, ()), lines=self._lines)

    def _value(self, node: yaml.Node, path: schema.Path) -> Json:
        self._left -= 1
        if self._left < 0 or len(path) > DEEPEST:
            raise Unreadable(_whole(self._where, "too large a document", "copy the right file here"))
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [
                    self._value(item, self._at(item, (*path, str(at)))) for at, item in enumerate(node.value)
                ]
            case _:
                return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: schema.Path) -> Json:
        found: dict[str, Json] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise Unreadable(self._bad(key_node, "a key that is not a word", "write KEY: VALUE"))
            key = str(key_node.value)
            if key in found:
                raise Unreadable(self._bad(key_node, f"{key} stands here twice", "keep one", key))
            found[key] = self._value(value_node, self._at(key_node, (*path, key)))
        return found

    def _scalar(self, node: yaml.Node) -> Json:
        tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
        if tag in ("str", "timestamp", "merge", "value"):
            return str(node.value)
        if tag not in ("null", "bool", "int", "float"):
            raise Unreadable(self._bad(node, f"the tag {node.tag}", "write a plain value"))
        value: Hashable = self._loader.construct_object(node)
        return cast(Json, value)

    def _at(self, node: yaml.Node, path: schema.Path) -> schema.Path:
        self._lines[path] = node.start_mark.line + 1
        return path

    def _bad(self, node: yaml.Node, why: str, remedy: str, key: str = "") -> Problem:
        line = node.start_mark.line + 1
        return Problem(where=f"{self._where}:{line}", key=key, value=None, why=why, remedy=remedy)


def _whole(where: str, why: str, remedy: str, line: int = 1) -> Problem:
    return Problem(where=f"{where}:{line}", key="", value=None, why=why, remedy=remedy)


def _syntax(error: yaml.YAMLError, text: str, where: str) -> Problem:
    """YAML's own complaint, with the line it is about and, for the commonest cause, in plain words."""
    mark, begun = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if begun is not None and (mark is None or mark.index >= len(text.rstrip())):
        mark = begun  # what is wrong at the end is that something was never closed
    line = 1 if mark is None else mark.line + 1
    content = [*text.split("\n"), ""][line - 1]
    key, value = _words(content)
    indent = content[: len(content) - len(content.lstrip())]
    if "\t" in indent or (mark is not None and text[mark.index : mark.index + 1] == "\t"):
        why, remedy = "a tab in the indentation", _SPACES.replace("FILE", where)
    elif isinstance(error, yaml.reader.ReaderError):
        why, remedy = f"the character {error.character!r} is not allowed in YAML", "copy the file again"
    else:
        said = getattr(error, "problem", None) or str(error)
        why, remedy = (
            f"not YAML ({said})",
            "write KEY: VALUE, indented by spaces, values in quotes if in doubt",
        )
    return Problem(where=f"{where}:{line}", key=key, value=value, why=why, remedy=remedy)


def _words(line: str) -> tuple[str, str | None]:
    key, colon, value = line.strip().partition(":")
    return (key.strip(), value.strip()) if colon else (line.strip(), None)


def dump(value: Json) -> str:
    """As YAML, keys in the order given."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10_000)
    return str(text)
