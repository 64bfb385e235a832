"""What one Envoy has compiled in, as its first request says.

Source: ``node.extensions``, filled by Envoy itself. Envoy finds an extension by the type of its configuration
alone; builds older than 1.24 list names without types.
"""

from collections.abc import Iterable
from typing import Self

from vmagent._pb import wire_pb2 as wire
from vmagent.xds.compatibility.catalogue import BY_NAME, BY_TYPE, ENVOYS_BY_TYPE, UNKNOWN, Extension, Verdict


class Loadable:
    """``types`` are full names of configuration messages; ``named`` are the extensions listed without types,
    ``names`` those listed at all.
    """

    def __init__(self, *, types: Iterable[str], named: Iterable[str], names: Iterable[str]) -> None:
        self._named = frozenset(named)
        self._names = frozenset(names)
        self._says_types = bool(types := frozenset(types))
        self.types = types | {
            each for each, extension in BY_TYPE.items() if self._named.intersection(_names(extension))
        }

    @classmethod
    def of(cls, node: wire.Node) -> Self:
        """One that lists nothing is taken to have everything."""
        if not node.extensions:
            return cls(types=(), named=BY_NAME, names=BY_NAME)
        return cls(
            types=(each for extension in node.extensions for each in extension.type_urls),
            named=(extension.name for extension in node.extensions if not extension.type_urls),
            names=(extension.name for extension in node.extensions),
        )

    @property
    def missing(self) -> frozenset[str]:
        """The types of Istio's own extensions that this Envoy lacks."""
        return frozenset(BY_TYPE) - self.types

    @property
    def says_types(self) -> bool:
        """Whether what it does not list is known to be lacking: it lists types, and not only names."""
        return self._says_types

    def lacking(self, type_name: str, name: str) -> Extension | None:
        """The extension that a configuration of this type asks for in vain; None if it can be loaded, or if
        nobody can tell. ``name`` is what the configuration calls it; alone it says something only where there
        is no type.
        """
        if not type_name:
            return None if name in self._names else BY_NAME.get(name)
        if type_name in self.types or name in self._named:
            return None
        if type_name in BY_TYPE:
            return BY_TYPE[type_name]
        if not self._says_types:
            return None
        return ENVOYS_BY_TYPE.get(type_name) or _unknown(name)


def _names(extension: Extension) -> tuple[str, ...]:
    return (extension.name, *extension.registered)


def _unknown(name: str) -> Extension:
    return Extension(name=name, types=(), verdict=Verdict.REFUSED, reason=UNKNOWN)
