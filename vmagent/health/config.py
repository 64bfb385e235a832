"""The readiness probe as values that can be run. Defaults are those that Istio's API documents.

Surprise: ``failure_threshold`` is 3 as the API says; the code of Istio's agent uses 1 where the field is
          missing.
"""

import re
from dataclasses import dataclass

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    name: str
    value: str

    def __post_init__(self) -> None:
        if not _HEADER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of an HTTP header")
        if any(ord(c) < 32 and c != "\t" for c in self.value):
            raise ValueError(
                f"the value of HTTP header {self.name} has a line break or another control character"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGet:
    """Healthy: a status from 200 to 399. ``host`` empty means the probe's default host."""

    port: int
    path: str = "/"
    host: str = ""
    tls: bool = False
    """https, whose certificate is not verified, as in Kubernetes: it is seldom issued for the probed
    address."""
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSocket:
    """Healthy: the connection is accepted."""

    port: int
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """Healthy: exit status 0. No shell; the command may use ``$`` and quotes freely."""

    command: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.command or not self.command[0]:
            raise ValueError("an exec probe needs a command")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grpc:
    """Healthy: grpc.health.v1.Health/Check answers SERVING for ``service``."""

    port: int
    service: str = ""


Method = HttpGet | TcpSocket | Exec | Grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """Times in seconds. ``default_host`` is where probes without a host of their own go: the VM's first
    address, or localhost (REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION)."""

    method: Method
    default_host: str = "localhost"
    initial_delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    success_threshold: int = 1
    failure_threshold: int = 3

    def __post_init__(self) -> None:
        if self.initial_delay < 0 or self.timeout <= 0 or self.period <= 0:
            raise ValueError("the times of a probe must be positive")
        if self.success_threshold < 1 or self.failure_threshold < 1:
            raise ValueError("the thresholds of a probe are counts, from 1 on")
