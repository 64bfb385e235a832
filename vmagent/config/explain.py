"""The configuration for people and scripts: what counts, who said so, what it overrode.

Owns:      ``config show`` and ``config explain`` as values; hiding what is secret.
Does not:  print (cli/config.py).
"""

import dataclasses
from collections.abc import Iterator
from pathlib import PurePath

from vmagent.config.model import Address, Config, Json, Value
from vmagent.config.problem import is_secret
from vmagent.config.schema import camel, nearest
from vmagent.config.setting import SETTINGS
from vmagent.config.unused import UNUSED
from vmagent.errors import Misconfigured

HIDDEN = "(hidden)"
_MESH = "defaultConfig."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One setting as ``config show`` lists it."""

    key: str
    value: str
    origin: str


def lines(config: Config) -> Iterator[Line]:
    """What somebody set, by key; defaults are left out."""
    for key, values in sorted(config.origins.items()):
        if values and values[0].origin.kind != "default":
            yield Line(key=key, value=_shown(key, values[0].text), origin=str(values[0].origin))


def explain(config: Config, key: str) -> str:
    """One key: value, origin, what was overridden, help. Raises ``Misconfigured`` for an unknown key."""
    name = _name(config, key)
    values = config.origins[name]
    setting = SETTINGS.get(name)
    told = [f"{name}={_shown(name, values[0].text)}", f"  from       {values[0].origin}"]
    told += [
        f"  overrides  {_shown(name, value.text)!r} from {value.origin}" for value in _overridden(values)
    ]
    if setting is not None:
        told.append(f"  meaning    {setting.help}")
    elif name in UNUSED:
        told.append(f"  no effect  {UNUSED[name] or 'here'}")
    elif name.startswith("ISTIO_META_"):
        told.append(f"  meaning    node metadata {name.removeprefix('ISTIO_META_')}, as istiod sees it")
    elif name.startswith(_MESH):
        told.append("  meaning    ProxyConfig, see istio.io/latest/docs/reference/config/istio.mesh.v1alpha1")
    return "\n".join(told)


def _overridden(values: tuple[Value, ...]) -> tuple[Value, ...]:
    """A default that nobody could see is not worth a line."""
    return tuple(value for value in values[1:] if value.text or value.origin.kind != "default")


def _name(config: Config, key: str) -> str:
    for name in (key, f"{_MESH}{key}", f"{_MESH}{camel(key.removeprefix(_MESH))}"):
        if name in config.origins:
            return name
    known = {name: name for name in config.origins} | {
        name.removeprefix(_MESH): name for name in config.origins
    }
    raise Misconfigured(f"{key}: no such setting, or nobody set it", hint=nearest(key, known))


def _shown(key: str, text: str) -> str:
    return HIDDEN if is_secret(key) or "accessToken" in text else text


def document(config: Config) -> dict[str, Json]:
    """Every resolved value, for ``config show --json``; origins by key."""
    found = {
        field.name: _plain(getattr(config, field.name), field.name)
        for field in dataclasses.fields(config)
        if field.name != "origins"
    }
    found["origins"] = {
        key: str(values[0].origin) for key, values in sorted(config.origins.items()) if values
    }
    return found


def _plain(value: object, key: str) -> Json:
    match value:
        case Address() | PurePath():
            return str(value)
        case _ if key == "headers" and isinstance(value, tuple):
            return {name: HIDDEN for name, _ in value}
        case Value():
            return _shown(key, value.text)
        case str():
            return _shown(key, value)
        case None | bool() | int() | float():
            return value
        case tuple() | list():
            return [_plain(item, key) for item in value]
        case dict():
            return {str(name): _plain(item, str(name)) for name, item in value.items()}
        case _ if dataclasses.is_dataclass(value):
            return {
                field.name: _plain(getattr(value, field.name), field.name)
                for field in dataclasses.fields(value)
            }
    raise TypeError(f"{key}: a {type(value).__name__} has no place in the configuration")
