"""What a scraper can read, from its Accept header; and what we ask of others on its behalf. Pure.

One decision for the whole answer: OpenMetrics 1.0.0 if the scraper reads it and everything in the answer can
be had in it, else the text format 0.0.4, which every scraper reads. Envoy speaks nothing but text, so with
Envoy's numbers in it the answer is text. Each call makes its own values; nothing outlives a scrape.
"""

from typing import Final

from vmagent.status.exposition import Format

_TEXT: Final = "text/plain;version=0.0.4"
_OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"


def reads_openmetrics(accept: str) -> bool:
    """Whether the scraper would rather have OpenMetrics than text. It has to say so: ``*/*`` does not."""
    best = {Format.TEXT: 0.0, Format.OPENMETRICS: 0.0}
    for item in accept.lower().split(","):
        kind, _, rest = item.partition(";")
        parameters = dict(_parameter(text) for text in rest.split(";"))
        weight = _weight(parameters.get("q", "1"))
        if kind.strip() == "application/openmetrics-text" and parameters.get("version") == "1.0.0":
            best[Format.OPENMETRICS] = max(best[Format.OPENMETRICS], weight)
        elif kind.strip() in ("text/plain", "text/*"):
            best[Format.TEXT] = max(best[Format.TEXT], weight)
    return best[Format.OPENMETRICS] > 0 and best[Format.OPENMETRICS] >= best[Format.TEXT]


def asking(*, openmetrics: bool) -> str:
    """The Accept header that we send. Never protobuf, and no text newer than what we pass on."""
    return f"{_OPENMETRICS},{_TEXT};q=0.5" if openmetrics else _TEXT


def format_of(content_type: str) -> Format:
    """What an answer claims to be. Without a claim it is text, as in the days when there was nothing else."""
    kind = content_type.partition(";")[0].strip().lower()
    return Format.OPENMETRICS if kind == "application/openmetrics-text" else Format.TEXT


def takes_gzip(accept_encoding: str) -> bool:
    for item in accept_encoding.lower().split(","):
        coding, _, rest = item.partition(";")
        if coding.strip() == "gzip":
            return _weight(dict(_parameter(text) for text in rest.split(";")).get("q", "1")) > 0
    return False


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip().strip('"')


def _weight(text: str) -> float:
    """0 for what is no weight: who cannot say how much it wants a thing does not get it."""
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
