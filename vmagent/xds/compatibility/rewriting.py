"""Takes out of one resource what this Envoy lacks and can do without.

Owns:      the walk through a resource (places.py says where to) and what a missing extension leaves behind.
Does not:  decide which extension may go (catalogue.py), or read protocol lists (alpn.py).
Surprise:  what is not changed keeps its bytes, at every depth, and is given back as the same object: that is
           how one sees that nothing changed.
"""

from collections.abc import Callable
from typing import Any, Final

from vmagent._pb import wire_pb2 as wire
from vmagent.xds.compatibility.alpn import Alpn
from vmagent.xds.compatibility.catalogue import Extension, Verdict
from vmagent.xds.compatibility.loadable import Loadable
from vmagent.xds.compatibility.places import CONFIGURATIONS, DISCOVERED, FILTERS_OF, HOLDERS, PARTS, Kind

SKIP: Final = "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
"""The action of a matcher that does nothing: in place of one that ran a filter which is gone."""

LARGEST_REMEMBERED: Final = 1024
"""Bytes. The filters that istiod puts into every chain are smaller, and equal in all of them."""
MOST_REMEMBERED: Final = 1024

_WRAPPED: Final = ("udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct")
_FILTER_CONFIG: Final = "envoy.config.route.v3.FilterConfig"


class Indispensable(Exception):
    """An extension is missing that must not be left out."""

    def __init__(self, extension: Extension, name: str, type_name: str) -> None:
        super().__init__(f"{name} ({type_name or 'no type'}) is not in this Envoy: {extension.reason}")
        self.extension = extension


class _Gone(Exception):
    """Nothing is left of what was looked at. ``extension`` is what was missing, if it was that itself."""

    def __init__(self, extension: Extension | None = None) -> None:
        self.extension = extension


class Rewriting:
    """For one Envoy. Raises Indispensable, and DecodeError for what cannot be read."""

    def __init__(self, loadable: Loadable, alpn: Alpn, took: Callable[[Extension], None]) -> None:
        """``took`` hears of every extension that is taken out."""
        self._loadable = loadable
        self._took = took
        self._remembered: dict[Kind, dict[bytes, Extension]] = {kind: {} for kind in HOLDERS}
        self._looks: dict[Kind, Callable[[bytes], bytes]] = {
            wire.TransportSocket: alpn.socket,
            wire.Any: self._any,
            wire.Matcher.Action: self._action,
        }

    def part(self, kind: Kind, value: bytes) -> bytes | None:
        """One message without what is missing; None if that was all there was."""
        if kind in HOLDERS:
            return self._holder(kind, value)
        look = self._looks.get(kind)
        return look(value) if look else self._message(kind, value)

    def _any(self, value: bytes) -> bytes:
        config = wire.Any.FromString(value)
        return config.SerializeToString() if self._inside(config) else value

    def _message(self, kind: Kind, value: bytes) -> bytes | None:
        message: Any = kind.FromString(value)
        changed = False
        for field, below in PARTS[kind].items():
            changed |= self.field(getattr(message, field), below)
        if not changed:
            return value
        if kind in FILTERS_OF and not any(getattr(message, field) for field in FILTERS_OF[kind]):
            return None
        left: bytes = message.SerializeToString()
        return left

    def field(self, values: Any, below: Kind) -> bool:
        """Rewrite what is in one repeated field of bytes; whether anything changed."""
        if not values:
            return False
        before = list(values)
        after = [self.part(below, each) for each in before]
        if after == before:
            return False
        values[:] = [each for each in after if each is not None]
        return True

    def _action(self, value: bytes) -> bytes:
        action = wire.Matcher.Action.FromString(value)
        try:
            changed = self._inside(action.typed_config)
        except _Gone:
            action.typed_config.type_url, action.typed_config.value = SKIP, b""
            changed = True
        return action.SerializeToString() if changed else value

    def _holder(self, kind: Kind, value: bytes) -> bytes | None:
        remembered = self._remembered[kind]
        found = remembered.get(value)
        if found is None:
            try:
                return self._judged(kind, value)
            except _Gone as gone:
                if gone.extension is None:
                    return None
                found = gone.extension
                if len(value) <= LARGEST_REMEMBERED and len(remembered) < MOST_REMEMBERED:
                    remembered[value] = found
        self._took(found)
        return None

    def _judged(self, kind: Kind, value: bytes) -> bytes:
        """Raises _Gone."""
        holder: Any = kind.FromString(value)
        if kind is wire.PerFilterEntry:
            changed = self._per_filter(holder.key, holder.value)
        elif kind is wire.Filter and holder.is_optional:
            return value  # Envoy passes over it by itself
        elif kind in DISCOVERED and holder.HasField("config_discovery"):
            changed = self._discovered(holder.name, holder.config_discovery)
        elif kind is wire.DynamicConfig:
            return value
        else:
            changed = self._typed(holder.name, holder.typed_config)
        if not changed:
            return value
        left: bytes = holder.SerializeToString()
        return left

    def _typed(self, name: str, config: wire.Any) -> bool:
        self._demand(name, _type(config))
        return self._inside(config)

    def _demand(self, name: str, type_name: str) -> None:
        """Raises _Gone or Indispensable if this Envoy lacks it."""
        extension = self._loadable.lacking(type_name, name)
        if extension is not None:
            if extension.verdict is Verdict.OUT:
                raise _Gone(extension)
            raise Indispensable(extension, name, type_name)

    def _inside(self, config: wire.Any) -> bool:
        """Rewrite what the configuration holds; whether it changed. Raises _Gone."""
        kind = CONFIGURATIONS.get(config.type_url.rpartition("/")[2])
        if kind is None:
            return False
        before = config.value
        after = self.part(kind, before)
        if after is None:
            raise _Gone
        if after is before:
            return False
        config.value = after
        return True

    def _per_filter(self, name: str, config: wire.Any) -> bool:
        if config.type_url.rpartition("/")[2] != _FILTER_CONFIG:
            return self._typed(name, config)
        wrapped = wire.FilterConfig.FromString(config.value)
        if wrapped.is_optional or not wrapped.HasField("config") or not self._typed(name, wrapped.config):
            return False
        config.value = wrapped.SerializeToString()
        return True

    def _discovered(self, name: str, source: wire.ExtensionConfigSource) -> bool:
        """The configuration comes by itself, later, and may be of several types: those that are missing leave
        the list, and the filter goes with the last of them.
        """
        kept, gone = [], None
        for url in source.type_urls:
            try:
                self._demand(name, url.rpartition("/")[2])
            except _Gone as missing:
                gone = missing
            else:
                kept.append(url)
        if gone is not None and not kept:
            raise gone
        changed = gone is not None
        if gone is not None and gone.extension is not None:
            self._took(gone.extension)
            source.type_urls[:] = kept
        if source.HasField("default_config"):
            try:
                changed |= self._typed(name, source.default_config)
            except _Gone:
                source.ClearField("default_config")
                changed = True
        return changed


def _type(config: wire.Any) -> str:
    """Full name of the type of the configuration, also where it is wrapped as JSON."""
    name = config.type_url.rpartition("/")[2]
    if name in _WRAPPED:
        name = wire.TypedStruct.FromString(config.value).type_url.rpartition("/")[2]
    return name
