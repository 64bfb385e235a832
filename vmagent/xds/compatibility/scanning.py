"""Whether a resource may hold what this Envoy lacks: a search in its bytes, before anything is decoded.

It finds too much rather than too little: a word in a place where no extension sits costs a decoding, and the
resource still passes as it came.
"""

import re
from typing import Final

from vmagent.xds.compatibility.alpn import PEER_EXCHANGE
from vmagent.xds.compatibility.catalogue import BY_NAME, METADATA_EXCHANGE
from vmagent.xds.compatibility.loadable import Loadable
from vmagent.xds.compatibility.places import RESOURCES

PREFIX: Final = b"type.googleapis.com/"
"""Before the type of everything that istiod packs into an Any. The byte before it is its length: none is as
long as 128.
"""

_WRAPPERS: Final = (
    "udpa.type.v1.TypedStruct",
    "xds.type.v3.TypedStruct",
    "envoy.config.route.v3.FilterConfig",
)
"""Around the configuration of an extension, whose own type comes in them: in no Envoy's list."""

_RESOURCES: Final = tuple(url.rpartition("/")[2] for url in RESOURCES)
"""In the envelope of each, so that whole responses can be searched."""

_SENT: Final = ("istio.stats", "istio.metadata_exchange", "istio.alpn")
"""Names by which istiod calls what a stock Envoy lacks: a configuration without a type has nothing else."""


class Scan:
    def __init__(self, loadable: Loadable) -> None:
        missing = loadable.missing
        names = _SENT if loadable.says_types else BY_NAME
        words = [each for each in names if missing.issuperset(BY_NAME[each].types)]
        if missing.issuperset(METADATA_EXCHANGE.types):
            words.append(PEER_EXCHANGE)
        if not loadable.says_types:
            words += missing
        self._lacks = bool(words) or loadable.says_types
        self._words = re.compile(b"|".join(re.escape(word.encode()) for word in words) or b"(?!)")
        known = (*loadable.types, *_WRAPPERS, *_RESOURCES) if loadable.says_types else ()
        self._known = frozenset(each.encode() for each in known)

    def suspicious(self, value: bytes) -> bool:
        """An Envoy that lacks nothing has nothing looked at: ten thousand clusters take half a second."""
        if not self._lacks:
            return False
        return bool(self._words.search(value) or (self._known and self._has_unknown(value)))

    def _has_unknown(self, value: bytes) -> bool:
        """Whether a type is none of those that this Envoy lists."""
        before, *rest = value.split(PREFIX)
        for after in rest:
            if not before or after[: before[-1] - len(PREFIX)] not in self._known:
                return True
            before = after
        return False
