"""Where the agent's processes meet, and the gates they meet at. Standard library only: the capture process
uses it.
"""

from pathlib import Path
from typing import Final

RUN: Final = Path("/run/istio-agent")
"""The daemon's: lock, gates, status document."""

CAPTURE_RUN: Final = Path("/run/istio-capture")
"""The capture process's: lock, gate, manifest. Root's alone."""

GATES: Final = ("config", "identity", "xds", "dns", "envoy")
"""Of the daemon, in the order they open. Capture waits for all of them."""

LEAVING: Final = "leaving"
"""A file of the daemon's, beside its lock: it stops for good, and waits for the rules to go first."""
