"""Each section of the configuration from the layers: what the words mean, put into types.

Owns:      Workload, Envoy, Dns, Probe, Status, CaptureInputs, Agent.
Does not:  decide about the control plane (upstreams.py) or the node (node.py); read anything.
Surprise:  nothing here raises for a bad value: the environment notes it, so that all problems are found.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.config import capture_settings, flags, settings, syntax
from vmagent.config.credentials import rooted
from vmagent.config.layers import Environment
from vmagent.config.merge import Merged
from vmagent.config.model import (
    Agent,
    CaptureInputs,
    Dns,
    Envoy,
    Origin,
    Probe,
    Status,
    Value,
    Workload,
)
from vmagent.config.podfiles import Pod
from vmagent.config.probe import probe
from vmagent.config.schema import Wrong, seconds

DEFAULT_TRUST_DOMAIN = "cluster.local"
PARENT_SHUTDOWN = 60.0
"""Seconds after which a replaced Envoy ends: Istio's default while it hot-restarted, above drainDuration."""


class Flags:
    """What ISTIO_AGENT_FLAGS says that counts."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.unused: tuple[str, ...] = ()
        self._found: dict[str, str] = {}
        try:
            self._found, self.unused = flags.parse(environment.get(settings.AGENT_FLAGS))
        except ValueError as remedy:
            environment.problem("ISTIO_AGENT_FLAGS", "a flag that is not understood", str(remedy))

    def get(self, name: str, default: str) -> str:
        return self._found.get(name) or default

    def number(self, name: str, most: int) -> int | None:
        """None where the flag is not given; 0 where it is no number, which is a problem then."""
        given = self._found.get(name)
        if not given:
            return None
        try:
            return syntax.integer(0, most)(given)
        except ValueError as remedy:
            self.refuse(name, str(remedy))
            return 0

    def refuse(self, name: str, remedy: str) -> None:
        self._environment.problem("ISTIO_AGENT_FLAGS", f"--{name} has no such value", remedy)


LONGEST_DRAIN: Final = 20.0
"""Seconds of terminationDrainDuration that a stop can grant: the unit's TimeoutStopSec (45 s) must be enough
for all parts, or systemd ends the agent and leaves Envoy behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What no setting says: the machine, and what lies on it."""

    host_name: str
    ips: tuple[str, ...]
    given_ip: str
    trust_domain: str
    """Of the mesh file; empty if it has none."""
    pod: Pod
    credential_socket: bool


def workload(environment: Environment, around: Around, flag: Flags) -> Workload:
    namespace = environment.get(settings.ISTIO_NAMESPACE) or environment.get(settings.POD_NAMESPACE)
    labels = environment.get(settings.LABELS) or {}
    return Workload(
        name=environment.get(settings.POD_NAME) or around.host_name.partition(".")[0],
        namespace=namespace,
        service_account=environment.get(settings.SERVICE_ACCOUNT),
        trust_domain=environment.get(settings.TRUST_DOMAIN) or around.trust_domain or DEFAULT_TRUST_DOMAIN,
        cluster_id=environment.get(settings.CLUSTER_ID),
        mesh_id=environment.get(settings.MESH_ID),
        network=environment.get(settings.NETWORK),
        group=environment.get(settings.GROUP),
        workload_name=environment.get(settings.WORKLOAD_NAME),
        service=environment.get(settings.ISTIO_SERVICE),
        labels={**labels, **around.pod.labels.values},
        static_labels=labels,
        ips=around.ips,
        given_ip=around.given_ip,
        excluded_interfaces=tuple(sorted(around.pod.excluded_interfaces)),
        dns_domain=flag.get("domain", f"{namespace}.svc.cluster.local"),
    )


def envoy(environment: Environment, merged: Merged, base: Path, flag: Flags) -> Envoy:
    config_dir = rooted(base, merged.text("configPath"))
    level, components = _levels(flag)
    hbone, discovery = environment.get(settings.ENABLE_HBONE), environment.get(settings.METADATA_DISCOVERY)
    custom, override = merged.text("customConfigFile"), environment.get(settings.BOOTSTRAP_OVERRIDE)
    outlier = flag.get("outlierLogPath", "")
    return Envoy(
        binary=rooted(base, merged.text("binaryPath")),
        config_dir=config_dir,
        proxy_config=merged.proxy_config,
        admin_port=merged.number("proxyAdminPort"),
        health_port=environment.get(settings.HEALTH_PORT),
        prometheus_port=environment.get(settings.PROMETHEUS_PORT),
        secure_metrics_port=environment.get(settings.SECURE_PORT),
        secure_merged_metrics_port=environment.get(settings.SECURE_MERGED_PORT),
        log_level=level,
        component_log_levels=components,
        concurrency=_concurrency(merged, flag),
        drain_time=seconds(merged.proxy_config["drainDuration"]),
        parent_shutdown_time=_duration(merged, "parentShutdownDuration", PARENT_SHUTDOWN),
        termination_drain=min(seconds(merged.proxy_config["terminationDrainDuration"]), LONGEST_DRAIN),
        exit_on_zero=environment.get(settings.EXIT_ON_ZERO),
        minimum_drain=environment.get(settings.MINIMUM_DRAIN),
        file_flush_interval=_duration(merged, "fileFlushInterval", 1.0),
        file_flush_min_kb=merged.number("fileFlushMinSizeKb"),
        skip_deprecated_logs=environment.get(settings.SKIP_DEPRECATED),
        core_dump=environment.get(settings.CORE_DUMP),
        custom_config_file=rooted(base, custom) if custom else None,
        bootstrap_override=Path(override) if override else None,
        outlier_log=rooted(base, outlier) if outlier else None,
        dual_stack=environment.get(settings.DUAL_STACK),
        metadata_discovery=hbone if discovery is None else discovery,
        status_proxy_protocol=environment.get(settings.PROXY_PROTOCOL),
        metrics_localhost_only=environment.get(settings.LOCALHOST_METRICS),
        xds_socket=config_dir / "XDS",
        host_ip=environment.get(settings.HOST_IP),
    )


def _duration(merged: Merged, key: str, default: float) -> float:
    value = merged.proxy_config.get(key)
    return default if value is None else seconds(value)


def _concurrency(merged: Merged, flag: Flags) -> int:
    given = flag.number("concurrency", 4096)
    return merged.number("concurrency") if given is None else given


def sts_port(flag: Flags) -> str:
    """For node metadata: nobody serves a port of that name any more. Empty: not set."""
    return str(flag.number("stsPort", 65535) or "")


def _levels(flag: Flags) -> tuple[str, tuple[str, ...]]:
    """Envoy's level and those of its components: ``warning,upstream:debug``."""
    wanted = flag.get("proxyLogLevel", "warning")
    components = flag.get("proxyComponentLogLevel", "")
    for name, text in (("proxyLogLevel", wanted), ("proxyComponentLogLevel", components)):
        try:
            syntax.envoy_levels(text or "warning")
        except ValueError as remedy:
            flag.refuse(name, str(remedy))
            return "warning", ()
    items = [item for item in f"{wanted},{components}".split(",") if item]
    levels = [item for item in items if ":" not in item]
    return (levels[-1] if levels else "warning"), tuple(item for item in items if ":" in item)


def dns(environment: Environment, who: Workload, base: Path) -> Dns:
    """A router answers names only on request: nobody's queries are redirected there."""
    sidecar = environment.get(settings.ROLE) == "sidecar"
    return Dns(
        enabled=(sidecar and _redirected(environment)[0]) or environment.get(settings.DNS_SERVER),
        auto_allocate=environment.get(settings.DNS_AUTO_ALLOCATE),
        listen=environment.get(settings.DNS_ADDR),
        namespace=who.namespace,
        domain=who.dns_domain,
        forward_timeout=environment.get(settings.DNS_TIMEOUT),
        parallel=environment.get(settings.DNS_PARALLEL),
        resolv_conf=base / "etc/resolv.conf",
    )


def _redirected(environment: Environment) -> tuple[bool, Origin]:
    """Whether queries are redirected: one answer for DNS and capture, else nobody might listen there."""
    setting = settings.DNS_CAPTURE
    if not environment.is_set(setting) and environment.is_set(capture_settings.REDIRECT_DNS):
        setting = capture_settings.REDIRECT_DNS
    return environment.get(setting), environment.value(setting).origin


def readiness(environment: Environment, merged: Merged, who: Workload) -> Probe | Wrong | None:
    """``Wrong`` is for the caller to report: it knows the file and the line."""
    document = merged.proxy_config.get("readinessProbe")
    if not isinstance(document, dict):
        return None
    host = "localhost" if environment.get(settings.LEGACY_LOCALHOST) else who.address
    try:
        return probe(document, host)
    except Wrong as wrong:
        return wrong


def status(environment: Environment, merged: Merged) -> Status:
    targets = environment.get(settings.SCRAPE) if environment.get(settings.ROLE) == "sidecar" else ()
    return Status(
        port=merged.number("statusPort"),
        merge_envoy_stats=environment.get(settings.MERGE_STATS),
        metrics_localhost_only=environment.get(settings.LOCALHOST_METRICS),
        scrape=targets or (),
    )


def capture(environment: Environment) -> CaptureInputs:
    values = {name: found[0] for name in capture_settings.CAPTURE if (found := environment.values(name))}
    if environment.is_set(settings.DUAL_STACK):
        values[settings.DUAL_STACK.name] = environment.value(settings.DUAL_STACK)
    redirected, origin = _redirected(environment)
    values[settings.DNS_CAPTURE.name] = Value(text="true" if redirected else "false", origin=origin)
    return CaptureInputs(
        values=values,
        custom=environment.get(capture_settings.CUSTOM_IP_TABLES),
        role=environment.get(settings.ROLE),
    )


def agent(environment: Environment, flag: Flags) -> Agent:
    level = environment.get(settings.LOG_LEVEL)
    if not environment.is_set(settings.LOG_LEVEL) and (wanted := flag.get("log_output_level", "")):
        said = [
            item for item in wanted.split(",") if ":" not in item or item.split(":")[0] in ("default", "all")
        ]
        try:
            level = settings.LOG_LEVEL.parse(said[-1].rpartition(":")[2]) if said else level
        except ValueError as remedy:
            flag.refuse("log_output_level", str(remedy))
    file = environment.get(settings.LOG_FILE)
    return Agent(
        log_level=level,
        log_file=Path(file) if file else None,
        last_known_good=environment.get(settings.LAST_KNOWN_GOOD),
        last_known_good_max_age=environment.get(settings.LAST_KNOWN_GOOD_MAX_AGE),
    )
