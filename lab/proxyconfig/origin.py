"""Which document a piece of configuration was made of, as istiod writes it into its metadata."""

from typing import Final

from lab.proxyconfig.dump import Json, at, text

_PARTS: Final = 8
"""Of ``/apis/GROUP/VERSION/namespaces/NAMESPACE/KIND/NAME``, split at the slashes."""


def origin(resource: Json) -> str:
    """``NAME.NAMESPACE``; empty for what nobody's document is behind."""
    said = text(at(resource, "metadata", "filter_metadata"), "istio", "config")
    if not said:
        return ""
    parts = said.split("/")
    if len(parts) != _PARTS or parts[4] != "namespaces":
        return "<unknown>"
    return f"{parts[7]}.{parts[5]}"
