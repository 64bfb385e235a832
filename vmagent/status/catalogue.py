"""Every metric of the agent: its name, what it means, and from which number it is made. Pure.

Names that begin with ``istio_agent_`` are those of Istio's agent, so that its dashboards and alerts work;
what Istio's agent does not say begins with ``vmagent_``. Unlike there, a counter is here from the start, with
0: a rate over something that was absent is nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from vmagent.status.exposition import Kind, Metric, Sample, histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsReadings:
    requests: int
    upstream_requests: int
    upstream_failures: int
    bounds: tuple[float, ...]
    """Upper bounds in seconds; ``counts`` has one more, not cumulated."""
    counts: tuple[int, ...]
    upstream_seconds: float
    from_table: int
    names: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The agent's numbers at one moment. Times are epoch seconds. None: there is no such thing now."""

    now: float
    version: str
    gates: Mapping[str, bool]
    """Gate name to whether it is open."""
    startup_seconds: float | None = None
    """From the start of the agent to its first readiness."""
    certificate_expires: float | None = None
    token_expires: float | None = None
    certificate_requests: int = 0
    certificate_failures: int = 0
    file_expiries: Mapping[str, float] = field(default_factory=dict)
    """Name of each secret that is a certificate in files to its expiry."""
    file_failures: int = 0
    """Looks at such files that found something wrong."""
    connected: bool = False
    connection_failures: int = 0
    """Attempts that did not lead to a stream."""
    terminations: Mapping[str, int] = field(default_factory=dict)
    """How streams ended: ``error`` or ``cancelled``."""
    xds_requests: int = 0
    xds_responses: int = 0
    config_received: float | None = None
    """When the control plane last sent something."""
    last_known_good_age: float | None = None
    """Seconds, while what an earlier run kept is served."""
    taken_out: Collection[str] = ()
    """Extensions that this Envoy lacks and does without."""
    refused: int = 0
    """Resources that this Envoy cannot have."""
    envoy_ready: bool = False
    envoy_restarts: int = 0
    dns: DnsReadings | None = None
    healthy: bool | None = None
    """The application, as its probe sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeReadings:
    total: int
    failures: Mapping[str, int]
    """By type: ``envoy``, ``application``, ``agent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReadings:
    """The agent's process, without Envoy."""

    cpu_seconds: float
    resident_bytes: int
    virtual_bytes: int
    open_files: int
    most_files: int
    started: float | None
    """Epoch seconds."""
    threads: int


def metrics(now: Readings) -> list[Metric]:
    made = [*_mesh(now), *_identity(now), *_own(now)]
    return made + list(_dns(now.dns)) if now.dns else made


def scrapes(seen: ScrapeReadings) -> list[Metric]:
    return [
        _counter("istio_agent_scrapes_total", "Scrapes of this port.", seen.total),
        _by(
            "istio_agent_scrape_failures_total",
            "Sources that were left out of a scrape.",
            "type",
            seen.failures,
            kind="counter",
        ),
    ]


def process(seen: ProcessReadings) -> list[Metric]:
    """``process_*`` are the usual names, and an application's replace them; ours alone says it once more."""
    made = [
        _counter("process_cpu_seconds_total", "CPU time of user and system.", seen.cpu_seconds),
        _gauge("process_resident_memory_bytes", "Resident memory.", seen.resident_bytes),
        _gauge("process_virtual_memory_bytes", "Virtual memory.", seen.virtual_bytes),
        _gauge("process_open_fds", "Open file descriptors.", seen.open_files),
        _gauge("process_max_fds", "Most file descriptors that may be open.", seen.most_files),
        _gauge("vmagent_resident_memory_bytes", "Resident memory of the agent alone.", seen.resident_bytes),
        _gauge("vmagent_threads", "Threads of the agent.", seen.threads),
    ]
    if seen.started is not None:
        made.append(_gauge("process_start_time_seconds", "When the process began.", seen.started))
    return made


def _mesh(now: Readings) -> Iterator[Metric]:
    ended = {"cancelled": 0, "error": 0, **now.terminations}
    yield _counter(
        "istio_agent_istiod_connection_failures",
        "Attempts to reach the control plane that failed.",
        now.connection_failures,
    )
    yield _by(
        "istio_agent_istiod_connection_terminations",
        "Streams to the control plane that ended.",
        "type",
        ended,
        kind="counter",
    )
    yield _counter(
        "istio_agent_xds_proxy_requests", "xDS requests sent to the control plane.", now.xds_requests
    )
    yield _counter(
        "istio_agent_xds_proxy_responses", "xDS responses of the control plane.", now.xds_responses
    )
    yield _gauge(
        "vmagent_control_plane_connected", "1: a stream to the control plane is open.", now.connected
    )
    if now.taken_out:
        yield _by(
            "vmagent_xds_extensions_taken_out",
            "1: Envoy lacks the extension, which was taken out of what it is sent.",
            "extension",
            dict.fromkeys(now.taken_out, 1),
            kind="gauge",
        )
    yield _gauge(
        "vmagent_xds_resources_refused", "Resources whose newest version Envoy cannot have.", now.refused
    )
    if now.config_received is not None:
        age = max(0.0, now.now - now.config_received)
        yield _gauge("vmagent_config_age_seconds", "Since the control plane last sent something.", age)
    if now.last_known_good_age is not None:
        yield _gauge(
            "vmagent_last_known_good_age_seconds",
            "Age of the last known good state that is served; absent while the control plane's own word is.",
            now.last_known_good_age,
        )


def _identity(now: Readings) -> Iterator[Metric]:
    csr = (("request_type", "csr"),)
    asked, failed = now.certificate_requests, now.certificate_failures
    yield _counter(
        "istio_agent_num_outgoing_requests", "Attempts to obtain a certificate.", asked, labels=csr
    )
    yield _counter(
        "istio_agent_num_failed_outgoing_requests", "Such attempts that failed.", failed, labels=csr
    )
    yield _counter(
        "istio_agent_num_file_secret_failures_total",
        "Certificates in files that could not be used.",
        now.file_failures,
    )
    expiries = dict(now.file_expiries)
    if now.certificate_expires is not None:
        expiries = {"default": now.certificate_expires, **expiries}
    if expiries:
        yield _by(
            "istio_agent_cert_expiry_seconds",
            "Until a certificate expires; negative: since it did.",
            "resource_name",
            {name: expires - now.now for name, expires in expiries.items()},
            kind="gauge",
        )
    if now.token_expires is not None:
        left = now.token_expires - now.now
        yield _gauge("vmagent_token_expiry_seconds", "Until the token expires; negative: since it did.", left)


def _own(now: Readings) -> Iterator[Metric]:
    if now.startup_seconds is not None:
        yield _gauge(
            "istio_agent_startup_duration_seconds",
            "From the start to the first readiness.",
            now.startup_seconds,
        )
    yield _by("vmagent_gate_open", "1: what the gate stands for works.", "gate", {**now.gates}, kind="gauge")
    yield _gauge("vmagent_envoy_ready", "1: Envoy takes traffic.", now.envoy_ready)
    yield _counter("vmagent_envoy_restarts_total", "Starts of Envoy after the first.", now.envoy_restarts)
    if now.healthy is not None:
        yield _gauge("vmagent_application_healthy", "1: the application's probe succeeds.", now.healthy)
    yield _gauge("vmagent_info", "Always 1.", 1, labels=(("version", now.version),))


def _dns(now: DnsReadings) -> Iterator[Metric]:
    yield _counter("istio_agent_dns_requests_total", "DNS questions received.", now.requests)
    yield _counter("istio_agent_dns_upstream_requests_total", "Questions passed on.", now.upstream_requests)
    yield _counter(
        "istio_agent_dns_upstream_failures_total",
        "Of those, the ones that nobody answered.",
        now.upstream_failures,
    )
    yield histogram(
        "istio_agent_dns_upstream_request_duration_seconds",
        "Time until a question that was passed on was answered.",
        bounds=now.bounds,
        counts=now.counts,
        total=now.upstream_seconds,
    )
    yield _counter(
        "vmagent_dns_answers_from_table_total", "Questions about names of the mesh.", now.from_table
    )
    yield _gauge("vmagent_dns_names", "Names in the table of the control plane.", now.names)


def _counter(name: str, help: str, value: float, *, labels: tuple[tuple[str, str], ...] = ()) -> Metric:
    return Metric(name=name, kind="counter", help=help, samples=(Sample(value=value, labels=labels),))


def _gauge(name: str, help: str, value: float, *, labels: tuple[tuple[str, str], ...] = ()) -> Metric:
    return Metric(name=name, kind="gauge", help=help, samples=(Sample(value=value, labels=labels),))


def _by(name: str, help: str, label: str, values: Mapping[str, float], *, kind: Kind) -> Metric:
    samples = tuple(Sample(value=value, labels=((label, key),)) for key, value in values.items())
    return Metric(name=name, kind=kind, help=help, samples=samples)
