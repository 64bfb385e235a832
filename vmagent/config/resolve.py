"""From what was read to one ``Config``: pure, and everything that is wrong comes out at once.

Owns:      the order of work: env files, mesh file, merged ProxyConfig, sections; the checks that span them.
Does not:  read anything (load.py).
Surprise:  a bad value is replaced by its default and resolution goes on: ``Resolution.config`` is fit for
           use only without problems and with nothing missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vmagent.config import (
    address_choice,
    checks,
    credentials,
    encodable,
    envfile,
    layers,
    meshfile,
    node,
    podfiles,
    sections,
    settings,
    upstreams,
)
from vmagent.config.addresses import Host
from vmagent.config.layers import Environment, Layer
from vmagent.config.merge import Documents, Merged, annotation_problems, merge
from vmagent.config.metadata import Told
from vmagent.config.model import Config, Origin, Value, Workload
from vmagent.config.problem import Problem
from vmagent.config.schema import Wrong
from vmagent.config.sections import Around
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
    """The files' contents (None: there is no such file), and what the command line says."""

    cluster_env: bytes | None = None
    sidecar_env: bytes | None = None
    agent_env: bytes | None = None
    mesh: bytes | None = None
    pod_labels: bytes | None = None
    pod_annotations: bytes | None = None
    role: str = ""
    """Empty: nothing is said."""


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
    pod = podfiles.pod(sources.pod_labels, sources.pod_annotations, str(paths.base / podfiles.PLACE))
    documents = _documents(paths, sources, environment, pod)
    merged = merge(documents, environment)
    missing = _missing(paths, sources, environment)
    environment = environment.below(merged.layer())
    given = environment.get(settings.ISTIO_SVC_IP) or environment.get(settings.INSTANCE_IP)
    ips = address_choice.choose(host, given, excluded=pod.excluded_interfaces)
    if not ips:
        missing["an address of this machine"] = "no interface has one yet; or set ISTIO_SVC_IP"
    around = Around(
        host_name=host.name,
        ips=ips or (_NO_ADDRESS,),
        given_ip=given,
        trust_domain=documents.mesh.trust_domain,
        pod=pod,
        credential_socket=host.credential_socket,
    )
    config, wrong = _config(paths, environment, merged, around, present)
    where = str(paths.cluster_env)
    unread = any(problem.where.startswith(f"{where}:") for problem in problems)
    if not config.workload.service_account and where not in missing and not unread:
        wrong.append(_nobody(where))
    for setting in SETTINGS.values():
        environment.get(setting)  # also those that other rooms read: a bad value is told by its line
    if any("readinessProbe" in problem.key for problem in documents.problems):  # out of range is no port
        wrong = [problem for problem in wrong if not problem.key.endswith(".readinessProbe")]
    problems += [*pod.problems, *documents.problems, *annotation_problems(pod.annotations)]
    problems += [*environment.problems, *wrong]
    return Resolution(
        config=config,
        problems=tuple(problems),
        unknown=(*layers.unknown(environment), *documents.unknown),
        missing=missing,
        notes=(*checks.notes(environment, merged), *checks.duplicates(host.duplicates)),
    )


def _environment(
    paths: Paths, sources: Sources, environ: Mapping[str, str]
) -> tuple[Environment, list[Problem]]:
    """Files may refer to the environment, cluster.env also to sidecar.env, which Istio reads before it."""
    environ, unsendable = encodable.environ(environ)
    sidecar = envfile.parse(sources.sidecar_env or b"", paths.sidecar_env, environ)
    before = {**environ, **{key: entry.value for key, entry in sidecar.values.items()}}
    cluster = envfile.parse(sources.cluster_env or b"", paths.cluster_env, before)
    own = envfile.parse(sources.agent_env or b"", paths.agent_env, environ)
    environment = Environment(
        (
            _commanded(sources.role),
            layers.from_file(cluster, "cluster.env"),
            layers.from_file(sidecar, "sidecar.env"),
            layers.from_file(own, "agent.env"),
            layers.from_environment(environ),
        )
    )
    return environment, [*unsendable, *cluster.problems, *sidecar.problems, *own.problems]


def _nobody(where: str) -> Problem:
    remedy = "add SERVICE_ACCOUNT='NAME' to it"
    return Problem(where=where, key="SERVICE_ACCOUNT", value=None, why="not set", remedy=remedy)


def _commanded(role: str) -> Layer:
    origin = Origin(kind="command line", where="the command line")
    return {settings.ROLE.name: Value(text=role, origin=origin)} if role else {}


def _documents(paths: Paths, sources: Sources, environment: Environment, pod: podfiles.Pod) -> Documents:
    said, notes = environment.value(settings.PROXY_CONFIG), pod.annotations
    annotated = notes.values.get(podfiles.PROXY_CONFIG, "")
    where = f"{notes.where(podfiles.PROXY_CONFIG)} ({podfiles.PROXY_CONFIG})"
    return Documents(
        mesh=meshfile.parse(sources.mesh or b"", str(paths.mesh)),
        mesh_path=str(paths.mesh),
        inline=meshfile.parse(said.text.encode(), f"{said.origin} (PROXY_CONFIG)", bare=True),
        annotated=meshfile.parse(annotated.encode(errors="surrogatepass"), where, bare=True),
        annotations=notes,
    )


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
    around: Around,
    present: Callable[[Path], bool],
) -> tuple[Config, list[Problem]]:
    roots = upstreams.roots(environment, paths.base, present)
    flag, role = sections.Flags(environment), environment.get(settings.ROLE)
    who = sections.workload(environment, around, flag)
    probe = sections.readiness(environment, merged, who)
    proxy = sections.envoy(environment, merged, paths.base, flag)
    status = sections.status(environment, merged)
    config = Config(
        role=role,
        workload=who,
        control_plane=upstreams.control_plane(environment, merged, roots),
        credentials=credentials.credentials(environment, paths.base, present),
        node=node.node(environment, merged, role, _told(who, around, flag)),
        envoy=proxy,
        dns=sections.dns(environment, who, paths.base),
        probe=None if isinstance(probe, Wrong) else probe,
        status=status,
        capture=sections.capture(environment),
        agent=sections.agent(environment, flag),
        origins=_origins(environment, merged),
    )
    wrong = [*checks.fields(merged, proxy), *checks.ports(merged, environment, proxy, status)]
    if isinstance(probe, Wrong):
        wrong.append(checks.field(merged, "readinessProbe", str(probe), probe.remedy))
    if encodable.sendable(who.name):
        wrong += encodable.told(config.node)
    else:
        wrong.append(encodable.host_name(around.host_name))
    return config, wrong


def _told(who: Workload, around: Around, flag: sections.Flags) -> Told:
    return Told(
        workload=who,
        annotations=around.pod.annotations.values,
        credential_socket=around.credential_socket,
        outlier_log=flag.get("outlierLogPath", ""),
        sts_port=sections.sts_port(flag),
    )


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
