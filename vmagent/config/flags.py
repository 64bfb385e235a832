"""ISTIO_AGENT_FLAGS: the command line of ``pilot-agent proxy`` as operators have it in their env files.

Owns:      which of those flags mean something here.
Does not:  know what they do. Split on spaces, without quoting, as Istio's start script does.
"""

from typing import Final

_HONOURED: Final = (
    "domain",
    "serviceCluster",
    "proxyLogLevel",
    "proxyComponentLogLevel",
    "concurrency",
    "outlierLogPath",
    "stsPort",
    "log_output_level",
)
_UNUSED: Final = (
    "meshConfig",
    "templateFile",
    "profiling",
    "tokenManagerPlugin",
    "log_target",
    "log_as_json",
    "log_stacktrace_level",
    "log_caller",
    "vklog",
)
_SWITCHES: Final = ("profiling", "log_as_json")
"""Flags that may stand without a value."""


def parse(line: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The flags that count, by name, and the names of those without effect here. Raises ValueError."""
    found: dict[str, str] = {}
    unused: list[str] = []
    words = iter(line.split())
    for word in words:
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not word.startswith("-") or name not in _HONOURED + _UNUSED:
            raise ValueError(f"remove {word}; known flags: {', '.join('--' + flag for flag in _HONOURED)}")
        if not equals and name not in _SWITCHES:
            value = next(words, "")
            if not value:
                raise ValueError(f"write --{name}=VALUE")
        if name in _HONOURED:
            found[name] = value
        else:
            unused.append(name)
    return found, tuple(unused)
