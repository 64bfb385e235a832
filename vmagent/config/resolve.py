"""From what was read to one ``Config``: pure, and everything that is wrong comes out at once.

Owns:      the order of work: env files, mesh file, merged ProxyConfig, sections; the checks that span them.
Does not:  read anything (load.py).
Surprise:  a bad value is replaced by its default and resolution goes on: ``Resolution.config`` is fit for
           use only without problems and with nothing missing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vmagent.config import address_choice, envfile, layers, meshfile, node, sections, settings, upstreams
from vmagent.config.addresses import Host
from vmagent.config.layers import Environment
from vmagent.config.merge import XDS_PORT, Merged, istiod, merge
from vmagent.config.model import Config, Envoy, Origin, Status, Value
from vmagent.config.problem import Problem
from vmagent.config.schema import Wrong, seconds
from vmagent.config.setting import SETTINGS
from vmagent.config.unused import OPEN_PREFIXES, UNUSED

GONE, EMPTY = "no such file", "empty"
_NO_ADDRESS = "0.0.0.0"
"""Stands for an address while the rest is looked through; such a ``Resolution`` has something missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the operator puts files. ``base`` is what Istio's relative paths start from."""

    cluster_env: Path = Path("/var/lib/istio/envoy/cluster.env")
    sidecar_env: Path = Path("/var/lib/istio/envoy/sidecar.env")
    agent_env: Path = Path("/etc/istio-agent/agent.env")
    mesh: Path = Path("/etc/istio/config/mesh")
    base: Path = Path("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files' contents. None: there is no such file."""

    cluster_env: bytes | None = None
    sidecar_env: bytes | None = None
    agent_env: bytes | None = None
    mesh: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    config: Config
    problems: tuple[Problem, ...]
    unknown: tuple[Problem, ...]
    missing: Mapping[str, str]
    """What to wait for, and why."""
    notes: tuple[str, ...]


def resolve(
    paths: Paths,
    sources: Sources,
    environ: Mapping[str, str],
    host: Host,
    *,
    present: Callable[[Path], bool],
) -> Resolution:
    """``present``: is there such a regular file?"""
    environment, problems = _environment(paths, sources, environ)
    mesh = meshfile.parse(sources.mesh or b"", str(paths.mesh))
    said = environment.value(settings.PROXY_CONFIG)
    inline = meshfile.parse(said.text.encode(), f"{said.origin} (PROXY_CONFIG)", bare=True)
    merged = merge(mesh, str(paths.mesh), inline, environment)
    missing = _missing(paths, sources, environment)
    environment = environment.below(merged.layer())
    ips = address_choice.choose(
        host, environment.get(settings.ISTIO_SVC_IP) or environment.get(settings.INSTANCE_IP)
    )
    if not ips:
        missing["an address of this machine"] = "no interface has one yet; or set ISTIO_SVC_IP"
    config, wrong = _config(paths, environment, merged, mesh.trust_domain, host, ips, present)
    unread = any(problem.where.startswith(f"{paths.cluster_env}:") for problem in problems)
    if not config.workload.service_account and str(paths.cluster_env) not in missing and not unread:
        remedy = "add SERVICE_ACCOUNT='NAME' to it"
        where = str(paths.cluster_env)
        wrong.append(Problem(where=where, key="SERVICE_ACCOUNT", value=None, why="not set", remedy=remedy))
    for setting in SETTINGS.values():
        environment.get(setting)  # also those that other rooms read: a bad value is told by its line
    documents = [*mesh.problems, *inline.problems]
    if any("readinessProbe" in problem.key for problem in documents):  # a port out of range is no port
        wrong = [problem for problem in wrong if not problem.key.endswith(".readinessProbe")]
    problems += [*documents, *environment.problems, *wrong]
    return Resolution(
        config=config,
        problems=tuple(problems),
        unknown=(*layers.unknown(environment), *mesh.unknown, *inline.unknown),
        missing=missing,
        notes=tuple(_notes(environment, merged)),
    )


def _environment(
    paths: Paths, sources: Sources, environ: Mapping[str, str]
) -> tuple[Environment, list[Problem]]:
    """Files may refer to the environment, cluster.env also to sidecar.env, which Istio reads before it."""
    sidecar = envfile.parse(sources.sidecar_env or b"", paths.sidecar_env, environ)
    before = {**environ, **{key: entry.value for key, entry in sidecar.values.items()}}
    cluster = envfile.parse(sources.cluster_env or b"", paths.cluster_env, before)
    own = envfile.parse(sources.agent_env or b"", paths.agent_env, environ)
    environment = Environment(
        (
            layers.from_file(cluster, "cluster.env"),
            layers.from_file(sidecar, "sidecar.env"),
            layers.from_file(own, "agent.env"),
            layers.from_environment(environ),
        )
    )
    return environment, [*cluster.problems, *sidecar.problems, *own.problems]


def _missing(paths: Paths, sources: Sources, environment: Environment) -> dict[str, str]:
    """cluster.env, unless sidecar.env or the environment says who we are, as that of a pod does.

    What the mesh file says does not replace it: the two are copied one after the other.
    """
    if environment.is_set(settings.SERVICE_ACCOUNT) or (sources.cluster_env or b"").strip():
        return {}
    return {str(paths.cluster_env): GONE if sources.cluster_env is None else EMPTY}


def _config(
    paths: Paths,
    environment: Environment,
    merged: Merged,
    trust_domain: str,
    host: Host,
    ips: tuple[str, ...],
    present: Callable[[Path], bool],
) -> tuple[Config, list[Problem]]:
    roots = upstreams.roots(environment, paths.base, present)
    flag = sections.Flags(environment)
    who = sections.workload(environment, trust_domain, ips or (_NO_ADDRESS,), host.name, flag)
    probe = sections.readiness(environment, merged, who)
    proxy = sections.envoy(environment, merged, paths.base, flag)
    status = sections.status(environment, merged)
    config = Config(
        workload=who,
        control_plane=upstreams.control_plane(environment, merged, roots),
        credentials=upstreams.credentials(environment, paths.base),
        node=node.node(environment, merged, who),
        envoy=proxy,
        dns=sections.dns(environment, who, paths.base),
        probe=None if isinstance(probe, Wrong) else probe,
        status=status,
        capture=sections.capture(environment),
        agent=sections.agent(environment, flag),
        origins=_origins(environment, merged),
    )
    wrong = [*_fields(merged, proxy), *_ports(merged, environment, proxy, status)]
    if isinstance(probe, Wrong):
        wrong.append(_field(merged, "readinessProbe", str(probe), probe.remedy))
    return config, wrong


# --- checks that span fields ------------------------------------------------------------------------------


def _field(merged: Merged, key: str, why: str, remedy: str) -> Problem:
    said = merged.origins[f"defaultConfig.{key}"][0]
    value = None if isinstance(merged.proxy_config[key], dict | list) else said.text
    return Problem(where=str(said.origin), key=f"defaultConfig.{key}", value=value, why=why, remedy=remedy)


def _fields(merged: Merged, proxy: Envoy) -> Iterator[Problem]:
    for key in ("configPath", "binaryPath"):
        if not merged.text(key):
            yield _field(merged, key, "empty", "write a path or leave the line out")
    if proxy.drain_time < 1 or not proxy.drain_time.is_integer():
        yield _field(merged, "drainDuration", "not whole seconds", "write whole seconds, as in 45s")
    if proxy.termination_drain < 0:
        yield _field(merged, "terminationDrainDuration", "negative", "write seconds, as in 5s")


def _ports(merged: Merged, environment: Environment, proxy: Envoy, status: Status) -> Iterator[Problem]:
    """Two listeners of ours on one port: found here, and not when the second one fails to bind."""
    taken = {proxy.admin_port: "proxyAdminPort", 15001: "outbound traffic", 15006: "inbound traffic"}
    if status.port in taken:
        yield _field(merged, "statusPort", f"taken by {taken[status.port]}", "write another port")
    taken[status.port] = "statusPort"
    for setting in (
        settings.HEALTH_PORT,
        settings.PROMETHEUS_PORT,
        settings.SECURE_PORT,
        settings.SECURE_MERGED_PORT,
    ):
        port = environment.get(setting)
        if port in taken:
            value = environment.value(setting)
            why = f"taken by {taken[port]}"
            yield Problem(
                where=str(value.origin),
                key=setting.name,
                value=value.text,
                why=why,
                remedy="write another port",
            )
        elif port:
            taken[port] = setting.name


def _notes(environment: Environment, merged: Merged) -> Iterator[str]:
    for name in environment.names():
        value = environment.values(name)[0]
        reason = UNUSED.get(name, "")
        if reason and value.origin.kind != "environment":
            yield f"{value.origin}: {name} has no effect here: {reason}"
    for flag in sections.Flags(environment).unused:
        yield f"{environment.value(settings.AGENT_FLAGS).origin}: --{flag} has no effect here"
    discovery = merged.origins["defaultConfig.discoveryAddress"][0]
    if not environment.is_set(settings.CA_ADDR) and discovery.text != str(istiod(environment, XDS_PORT)):
        yield f"{discovery.origin}: the CA is asked at {discovery.text} too; CA_ADDR would say otherwise"
    drain = merged.origins["defaultConfig.terminationDrainDuration"][0]
    if seconds(merged.proxy_config["terminationDrainDuration"]) > sections.LONGEST_DRAIN:
        granted = f"{sections.LONGEST_DRAIN:g}s"
        yield f"{drain.origin}: terminationDrainDuration={drain.text}: a stop grants {granted} at most"
    mine, pod = environment.text("ISTIO_NAMESPACE"), environment.text("POD_NAMESPACE")
    if mine and pod and mine != pod:
        where = environment.values("POD_NAMESPACE")[0].origin
        yield f"{where}: POD_NAMESPACE={pod} does not count, ISTIO_NAMESPACE={mine} does"


def _origins(environment: Environment, merged: Merged) -> dict[str, tuple[Value, ...]]:
    found: dict[str, tuple[Value, ...]] = {}
    for name, setting in SETTINGS.items():
        default = Value(text=setting.default, origin=Origin(kind="default", where="default"))
        found[name] = (*environment.values(name), default)
        if not environment.is_set(setting) and len(found[name]) > 1:
            found[name] = (default, *environment.values(name))
    for name in environment.names():
        if name in UNUSED or name.startswith(OPEN_PREFIXES):
            found.setdefault(name, environment.values(name))
    found["CA_ADDR"] = upstreams.ca_origin(environment, merged)
    return found | dict(merged.origins)
