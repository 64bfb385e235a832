"""What one Envoy leaves on disk: bootstrap, record, and the shared memory that it forgets.

Owns:      their paths, modes, writing and removal; the record by which a later agent recognises it.
Does not:  know what stands in a bootstrap (bootstrap.py), or when anything is due (supervisor.py).
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vmagent.envoy.arguments import arguments, bootstrap_path, environment, shared_memory
from vmagent.envoy.bootstrap import bootstrap
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.process import ProcessId
from vmagent.errors import Misconfigured
from vmagent.runtime import files

PID_FILE = "envoy.pid"

SHARED_MEMORY = "envoy-shared-memory"
"""Holds the name of what lies in /dev/shm for our Envoy and no other: an Envoy and an agent that are killed
leave it there, and purge must know which it is (packaging/deb/istio-agent.postrm).
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One Envoy, for whoever comes after its agent."""

    process: ProcessId
    epoch: int = 0
    digest: str = ""
    """Of all that it was told: one that was told the same need not be replaced."""
    parent: ProcessId | None = None
    """The Envoy that it replaced, which drains."""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What ``str()`` wrote, or the pid and birth alone that earlier versions wrote. None for anything
        else.
        """
        first, _, second = text.strip().partition("\n")
        words = first.split(" ")
        process = ProcessId.parse(" ".join(words[:2]))
        epoch, digest = words[2:4] if len(words) == 4 else ("0", "")
        if process is None or not (epoch.isascii() and epoch.isdigit()):
            return None
        return cls(process, int(epoch), digest, ProcessId.parse(second))

    def __str__(self) -> str:
        parent = f"\n{self.parent}" if self.parent else ""
        return f"{self.process} {self.epoch} {self.digest}{parent}"


class Footprint:
    """Raises Misconfigured, naming the path, for what cannot be read or written."""

    def __init__(self, config: EnvoyConfig) -> None:
        self._config = config
        self._digested = self._document(0)

    def write(self, epoch: int) -> None:
        config = self._config
        with _named(config.config_dir):
            files.directory(config.config_dir, mode=0o700)
            if document := self._document(epoch):
                files.write(bootstrap_path(config, epoch), document, mode=0o600)
            files.write(self._named_memory, f"{shared_memory(config).name}\n".encode(), mode=0o600)

    def override(self) -> str:
        path = self._config.bootstrap_override
        if path is None:
            return ""
        with _named(path):
            return path.read_text()

    def digest(self) -> str:
        """Of bootstrap, command line and environment, whatever the epoch."""
        config = self._config
        told = hashlib.sha256(self._digested)
        if config.custom_config_file:
            with _named(config.custom_config_file):
                told.update(config.custom_config_file.read_bytes())
        for word in arguments(config, override=self.override()):
            told.update(word.encode() + b"\0")
        for name, value in sorted(environment(config).items()):
            told.update(f"{name}={value}\0".encode())
        return told.hexdigest()

    def record(self, record: Record) -> None:
        """Whoever comes after us must be able to recognise this Envoy. Private: the digest is of secrets,
        too.
        """
        with _named(self._pid_file):
            files.write(self._pid_file, f"{record}\n".encode(), mode=0o600)

    def recorded(self) -> Record | None:
        """The Envoy of an agent that went without ending it, if the file names one."""
        with _named(self._pid_file):
            try:
                return Record.parse(self._pid_file.read_text(errors="replace"))
            except FileNotFoundError:
                return None

    def clear(self) -> None:
        """Envoy is gone; so is everything of it."""
        config = self._config
        bootstraps = config.config_dir.glob("envoy-rev*.json")
        for path in (*bootstraps, self._pid_file, shared_memory(config), self._named_memory):
            with _named(path):
                files.remove(path)

    def _document(self, epoch: int) -> bytes:
        """Empty if somebody else writes it."""
        if self._config.custom_config_file:
            return b""
        return json.dumps(bootstrap(self._config, epoch=epoch), indent=1).encode()

    @property
    def _named_memory(self) -> Path:
        return self._config.config_dir / SHARED_MEMORY

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
    except UnicodeDecodeError as why:
        raise Misconfigured(f"{path}: byte {why.start} is not UTF-8", hint="save the file as UTF-8") from why
