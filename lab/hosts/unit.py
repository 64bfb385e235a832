"""A systemd service file, as far as a lab without systemd does what it says. Pure.

Owns:      reading the keys that decide what is started, as whom, with which rights, and how long stopping may
           take.
Does not:  start anything; emulate sandboxing (ProtectSystem= and its like), ExecStartPre=, ExecStop=,
           notification, watchdog or restarts.
Surprise:  what it does not understand in a key that it does read is an error, never skipped: a lab that
           started something else than systemd would is worth nothing.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

DEFAULT_STOP_TIMEOUT: Final = 90.0
"""Seconds; systemd's DefaultTimeoutStopSec."""

_BEGIN: Final = (
    'umask "$1"; test -z "$2" || ulimit -n "$2" 2>/dev/null || ulimit -n "$(ulimit -Hn)"; shift 2; exec "$@"'
)
"""As systemd: what the machine does not grant is cut down to what it does."""

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_UNITS: Final = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    name: str
    command: tuple[str, ...]
    user: str = "root"
    group: str = ""
    """Empty: the user's own."""
    environment: Mapping[str, str]
    runtime_directory: str = ""
    runtime_directory_mode: int = 0o755
    keeps_runtime_directory: bool = False
    """Whether it outlives a stop (RuntimeDirectoryPreserve=yes)."""
    capabilities: tuple[str, ...] | None = None
    """What the process and its children can have at most; None: no limit."""
    ambient: tuple[str, ...] = ()
    """What they have from the start, though their user is not root."""
    no_new_privileges: bool = False
    open_files: int | None = None
    umask: int = 0o022
    stop_timeout: float = DEFAULT_STOP_TIMEOUT

    @classmethod
    def parse(cls, text: str, *, name: str) -> Self:
        """Raises ValueError naming unit and key."""
        service = _sections(text, name).get("Service", {})
        try:
            return cls(
                name=name,
                command=_command(_one(service, "ExecStart")),
                user=_one(service, "User", "root"),
                group=_one(service, "Group"),
                environment=_environment(service.get("Environment", ())),
                runtime_directory=_one(service, "RuntimeDirectory"),
                runtime_directory_mode=int(_one(service, "RuntimeDirectoryMode", "0755"), 8),
                keeps_runtime_directory=_one(service, "RuntimeDirectoryPreserve", "no") == "yes",
                capabilities=_capabilities(service.get("CapabilityBoundingSet")),
                ambient=_capabilities(service.get("AmbientCapabilities")) or (),
                no_new_privileges=_one(service, "NoNewPrivileges", "no") in ("yes", "true", "on", "1"),
                open_files=int(limit) if (limit := _one(service, "LimitNOFILE")) else None,
                umask=int(_one(service, "UMask", "0022"), 8),
                stop_timeout=seconds(_one(service, "TimeoutStopSec", f"{DEFAULT_STOP_TIMEOUT:g}")),
            )
        except ValueError as why:
            raise ValueError(f"{name}: {why}") from None

    def confined(self) -> list[str]:
        """The command line behind umask, ulimit and setpriv, which give up what systemd would take away."""
        line = ["setpriv", f"--reuid={self.user}", f"--regid={self.group or self.user}", "--init-groups"]
        if self.capabilities is not None:
            # As systemd: out of the bounding set, and nothing inheritable that could come back.
            line += [f"--bounding-set={_set(self.capabilities)}", f"--inh-caps={_set(self.ambient)}"]
        if self.ambient:
            line += [f"--ambient-caps={_set(self.ambient)}"]
        if self.no_new_privileges:
            line += ["--no-new-privs"]
        return [
            "sh",
            "-c",
            _BEGIN,
            "sh",
            f"{self.umask:04o}",
            str(self.open_files or ""),
            *line,
            *self.command,
        ]


def seconds(text: str) -> float:
    """systemd.time(7): ``45s``, ``1min 30s``, ``90``."""
    rest = _SPAN.sub("", text).strip()
    found = _SPAN.findall(text)
    if rest or not found or any(unit not in _UNITS for _, unit in found):
        raise ValueError(f"{text!r} is no time span")
    return float(sum(float(number) * _UNITS[unit] for number, unit in found))


def _sections(text: str, name: str) -> dict[str, dict[str, list[str]]]:
    sections: dict[str, dict[str, list[str]]] = {}
    keys: dict[str, list[str]] | None = None
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            keys = sections.setdefault(line[1:-1], {})
            continue
        key, equals, value = line.partition("=")
        if not equals or keys is None:
            raise ValueError(f"{name}: {line!r} is neither a section nor KEY=VALUE")
        keys.setdefault(key.strip(), []).append(value.strip())
    return sections


def _one(service: Mapping[str, Sequence[str]], key: str, default: str = "") -> str:
    """The last one wins, as in systemd."""
    value = (service.get(key) or ("",))[-1] or default
    if "%" in value:
        raise ValueError(f"{key}={value}: the lab knows no specifiers")
    return value


def _command(text: str) -> tuple[str, ...]:
    if not text.startswith("/"):
        raise ValueError(f"ExecStart={text}: the lab starts absolute paths without prefix only")
    if "$" in text:
        raise ValueError(f"ExecStart={text}: the lab substitutes no variables")
    return tuple(shlex.split(text))


def _environment(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        if not line:
            found.clear()
        for word in shlex.split(line):
            name, equals, value = word.partition("=")
            if not equals or "%" in value:
                raise ValueError(f"Environment={line}: {word!r} is not NAME=VALUE")
            found[name] = value
    return found


def _set(names: Sequence[str]) -> str:
    """In setpriv's spelling: these and no others."""
    return ",".join(("-all", *(f"+{name}" for name in names)))


def _capabilities(lines: Sequence[str] | None) -> tuple[str, ...] | None:
    """In setpriv's spelling. Lines add up, an empty one takes all back."""
    if lines is None:
        return None
    found: list[str] = []
    for line in lines:
        if line.startswith("~"):
            raise ValueError(f"CapabilityBoundingSet={line}: the lab knows no inverted sets")
        found = [*found, *line.split()] if line else []
    return tuple(name.removeprefix("CAP_").lower() for name in found)
