"""What one Envoy leaves on disk: bootstrap, pid file, and the shared memory that it forgets.

Owns:      their paths, modes, writing and removal.
Does not:  know what stands in them (bootstrap.py), or when they are due (supervisor.py).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmagent.envoy.arguments import bootstrap_path, shared_memory
from vmagent.envoy.bootstrap import bootstrap
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.process import ProcessId
from vmagent.errors import Misconfigured
from vmagent.runtime import files

PID_FILE = "envoy.pid"


class Footprint:
    """Raises Misconfigured, naming the path, for what cannot be read or written."""

    def __init__(self, config: EnvoyConfig) -> None:
        self._config = config
        self._document = (
            b"" if config.custom_config_file else json.dumps(bootstrap(config), indent=1).encode()
        )

    def write(self, epoch: int) -> None:
        config = self._config
        with _named(config.config_dir):
            files.directory(config.config_dir, mode=0o700)
            if self._document:
                files.write(bootstrap_path(config, epoch), self._document, mode=0o600)

    def override(self) -> str:
        path = self._config.bootstrap_override
        if path is None:
            return ""
        with _named(path):
            return path.read_text()

    def record(self, process: ProcessId) -> None:
        """Whoever comes after us must be able to recognise this Envoy."""
        with _named(self._pid_file):
            files.write(self._pid_file, f"{process}\n".encode(), mode=0o644)

    def recorded(self) -> ProcessId | None:
        """The Envoy of an agent that went without ending it, if the file names one."""
        try:
            return ProcessId.parse(self._pid_file.read_text())
        except FileNotFoundError:
            return None

    def clear(self, epoch: int) -> None:
        """Envoy is gone; so is everything of it."""
        config = self._config
        for path in (
            bootstrap_path(config, epoch),
            self._pid_file,
            shared_memory(config),
        ):
            with _named(path):
                files.remove(path)

    @property
    def _pid_file(self) -> Path:
        return self._config.run_dir / PID_FILE


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as why:
        raise Misconfigured(
            f"{why.filename or path}: {why.strerror}", hint=f"the agent's user must be able to use {path}"
        ) from why
