"""Reading the files: the shell around resolve.py.

Owns:      the files' places, what counts as missing, and the look at the root certificate.
Does not:  look at the token: identity judges it, and waits for a better one.
Surprise:  as root it follows no symbolic link to a settings file: their directories belong to istio-proxy,
           and what is wrong with a file is told with words from it.
           What a person must edit is ``Misconfigured``; what may yet come (a file that is copied later, an
           address that DHCP brings) is ``Missing``, and the daemon waits for it.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.config import addresses, pem, podfiles
from vmagent.config.addresses import Host
from vmagent.config.model import Agent, CaptureInputs, Config
from vmagent.config.problem import Problem, misconfigured
from vmagent.config.resolve import EMPTY, GONE, Paths, Sources, resolve
from vmagent.errors import Unavailable
from vmagent.runtime import files

LARGEST: Final = 4 << 20
"""Bytes of any of these files. The largest that make sense are bundles of root certificates: 250 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    config: Config
    unknown: tuple[Problem, ...]
    """Keys that mean nothing to us: warnings, errors under ``config check --strict``."""
    notes: tuple[str, ...]
    """What is valid and may still surprise, a sentence each."""


class Missing(Unavailable):
    """Nothing is wrong yet: these things may still come. ``paths`` are those that are files."""

    def __init__(self, waiting: Mapping[str, str]) -> None:
        self.paths = tuple(Path(what) for what in waiting if what.startswith("/"))
        super().__init__(
            "waiting for " + ", ".join(f"{what} ({why})" for what, why in waiting.items()),
            hint="copy what vmagent entry configure wrote to its place" if self.paths else "",
        )


def load(paths: Paths, environ: Mapping[str, str], host: Host, *, role: str = "") -> Loaded:
    """``role`` is what the command line says, if it does. Raises ``Misconfigured``, which names every
    problem, or ``Missing``.
    """
    absent: dict[str, str] = {}
    sources = _sources(paths, absent, role)
    found = resolve(paths, sources, environ, host, present=os.path.isfile)
    missing = dict(found.missing) | {what: why for what, why in absent.items() if why != GONE}
    problems = list(found.problems)
    peers = found.config.control_plane
    upstreams = (peers.xds,) if found.config.credentials.mounted else (peers.xds, peers.ca)
    for root in dict.fromkeys(peer.root_cert for peer in upstreams if peer.tls and peer.root_cert):
        data = _read(root, missing, follow=True)  # often a link into the system's store; never quoted
        if data is not None and not data.strip():
            missing[str(root)] = EMPTY  # somebody is copying it
        elif data is not None:
            problems += damage(data, root)
    if problems:
        raise misconfigured(problems)
    if missing:
        raise Missing(missing)
    return Loaded(config=found.config, unknown=found.unknown, notes=found.notes)


def capture_inputs(paths: Paths, environ: Mapping[str, str]) -> CaptureInputs:
    """What capture needs: env files and mesh file must be sound; root and addresses need not be there.

    Raises ``Misconfigured`` or ``Missing``, as ``load``.
    """
    absent: dict[str, str] = {}
    host = Host(name="", addresses=(), routed=())
    found = resolve(paths, _sources(paths, absent), environ, host, present=os.path.isfile)
    missing = {what: why for what, why in found.missing.items() if what.startswith("/")}
    missing |= {what: why for what, why in absent.items() if why != GONE}
    if found.problems:
        raise misconfigured(found.problems)
    if missing:
        raise Missing(missing)
    return found.config.capture


def own(paths: Paths, environ: Mapping[str, str]) -> Agent:
    """What is ours alone, as far as it can be read: how to log that the rest is not there yet."""
    host = Host(name="", addresses=(), routed=())
    return resolve(paths, _sources(paths, {}), environ, host, present=os.path.isfile).config.agent


def _sources(paths: Paths, absent: dict[str, str], role: str = "") -> Sources:
    follow = os.geteuid() != 0
    pod = paths.base / podfiles.PLACE
    return Sources(
        cluster_env=_read(paths.cluster_env, absent, follow=follow),
        sidecar_env=_read(paths.sidecar_env, absent, follow=follow),
        agent_env=_read(paths.agent_env, absent, follow=follow),
        mesh=_read(paths.mesh, absent, follow=follow),
        pod_labels=_read(pod / "labels", absent, follow=follow),
        pod_annotations=_read(pod / "annotations", absent, follow=follow),
        role=role,
    )


def _read(path: Path, absent: dict[str, str], *, follow: bool) -> bytes | None:
    try:
        return files.read_small(path, most=LARGEST, follow=follow)
    except (FileNotFoundError, NotADirectoryError):
        absent[str(path)] = GONE
    except PermissionError:
        absent[str(path)] = f"not readable; chown istio-proxy {shlex.quote(str(path))}"
    except IsADirectoryError:
        absent[str(path)] = "a directory where a file should be"
    except OSError as why:
        absent[str(path)] = why.strerror or type(why).__name__
    return None


def damage(data: bytes, path: Path) -> list[Problem]:
    """What is wrong with a root certificate as a file."""
    try:
        pem.certificates(data)
    except pem.Damaged as damaged:
        remedy = f"copy the root-cert.pem that vmagent entry configure wrote to {path}"
        return [Problem(where=f"{path}:{damaged.line}", key="", value=None, why=str(damaged), remedy=remedy)]
    return []


def here(paths: Paths, *, role: str = "") -> Loaded:
    """``load`` with this process's environment and this machine's addresses: the door to both."""
    return load(paths, os.environ, addresses.read(paths.base), role=role)


def capture_here(paths: Paths) -> CaptureInputs:
    """``capture_inputs`` with this process's environment."""
    return capture_inputs(paths, os.environ)


def own_here(paths: Paths) -> Agent:
    """``own`` with this process's environment."""
    return own(paths, os.environ)
