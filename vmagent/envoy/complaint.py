"""What an Envoy that ended at once has against its command line or its files, as the sentence for the gate.

Owns:      finding the one line that matters in what Envoy prints. Pure.
Does not:  run Envoy (process.py).
Surprise:  an Envoy that is too old refuses the first argument it does not know and prints two pages of usage.
"""

import re
from pathlib import Path
from typing import Final

LONGEST: Final = 300
"""Characters of Envoy's own words in a sentence."""

_DOCUMENT: Final = "): {"
"""Here a complaint begins to repeat the whole document, which is not for everybody's eyes."""

_ARGUMENT = re.compile(r"PARSE ERROR:\s+Argument:\s+(\S+)\s+(.+)")
_UNKNOWN: Final = "Couldn't find match for argument"
_LOGGED = re.compile(r"^\[[^]]+\](?:\[\d+\])?\[(?:critical|error)\](?:\s*\[[^]]*\])* (.+)$", re.M)


def sentence(output: str, binary: Path) -> str:
    """Empty if nothing in ``output`` sounds like a complaint."""
    if found := _ARGUMENT.search(output):
        argument, why = found[1], found[2].strip()
        if why == _UNKNOWN:
            return (
                f"{binary} does not know the argument {argument}: it is too old; install a newer Envoy, or "
                "name one in defaultConfig.binaryPath"
            )
        return f"{binary} does not take its argument {argument}: {why}"
    logged = _LOGGED.findall(output)
    words = " ".join(logged[-1].partition(_DOCUMENT)[0].split()) if logged else ""
    return f"it says: {words[:LONGEST]}" if words else ""
