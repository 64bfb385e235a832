"""What Envoy merges over a bootstrap of the operator's own: the override, and who this Envoy is.

Owns:      YAML in this room. Pure.
Surprise:  what the operator wrote is passed on as it is written, never as values: Envoy reads ``0777``,
           ``2026-01-01`` or ``!ignore`` in another way than the library here would.
"""

import contextlib
import json
from typing import Final

import yaml

from vmagent.errors import Misconfigured

_MAP: Final = "tag:yaml.org,2002:map"
_NULL: Final = "tag:yaml.org,2002:null"
_TEXT: Final = "tag:yaml.org,2002:str"


def with_metadata(text: str, where: str, key: str, value: str) -> str:
    """``text`` with one entry more in ``node.metadata``, whatever it said of that itself. It is YAML or JSON;
    empty, it is a document like any other. Raises Misconfigured, which names ``where`` it came from.
    """
    if not text:
        return json.dumps({"node": {"metadata": {key: value}}})
    root = _with(_composed(text, where), ("node", "metadata", key), value, where)
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=len(text)))


def _composed(text: str, where: str) -> yaml.Node | None:
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(text)
        text = text.replace("\t", " ")  # between words, where Envoy takes them and this library does not
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as why:
        mark = getattr(why, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        said = getattr(why, "problem", None) or "a character that YAML does not allow"
        raise _wrong(f"{where}:{line} not YAML ({said})") from None
    except RecursionError:
        raise _wrong(f"{where}: too deeply nested") from None


def _with(root: yaml.Node | None, path: tuple[str, ...], value: str, where: str) -> yaml.Node:
    """A copy, for what stands in two places by an alias is to change in one. Of a key that stands twice Envoy
    takes the last.
    """
    if not path:
        return yaml.ScalarNode(_TEXT, value, style='"')
    if root is None or root.tag == _NULL:
        root = yaml.MappingNode(_MAP, [], flow_style=True)
    if not isinstance(root, yaml.MappingNode) or root.tag != _MAP:
        raise _wrong(f"{where} is no mapping")
    key, *rest = path
    others = [(name, below) for name, below in root.value if name.value != key]
    below = next((below for name, below in reversed(root.value) if name.value == key), None)
    made = (yaml.ScalarNode(_TEXT, key), _with(below, tuple(rest), value, f"{where}: {key}"))
    return yaml.MappingNode(_MAP, [*others, made], flow_style=root.flow_style)


def _wrong(what: str) -> Misconfigured:
    return Misconfigured(what, hint="write one document of Envoy's Bootstrap in it, as YAML or JSON")
