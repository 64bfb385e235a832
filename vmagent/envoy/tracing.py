"""Where spans go.

Owns:      the tracers of ProxyConfig that a stock Envoy can serve: zipkin, datadog, and lightstep through
           OpenTelemetry, since Envoy no longer has a lightstep tracer and lightstep takes OTLP.
Does not:  decide what is traced: sampling and tags come with the listeners from the control plane.
Surprise:  lightstep's access token reaches Envoy in its environment, which only its own user can read, and
           never in the bootstrap: ``/config_dump`` shows that to every user of the machine.
"""

from dataclasses import dataclass, replace

from vmagent.envoy import document, tls
from vmagent.envoy.addresses import Endpoint
from vmagent.envoy.clusters import Remote
from vmagent.envoy.config import EnvoyConfig, Object
from vmagent.errors import Misconfigured

_TYPE = "type.googleapis.com/envoy.config.trace.v3"
TOKEN_VARIABLE = "LIGHTSTEP_ACCESS_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracer:
    cluster: Remote
    provider: Object
    """An Envoy ``tracing.http`` block."""
    token: str = ""
    """What the environment variable TOKEN_VARIABLE of Envoy must hold."""

    def __repr__(self) -> str:
        return f"Tracer({self.cluster.name})"


def tracer(config: EnvoyConfig) -> Tracer | None:
    """At most one: zipkin, else lightstep, else datadog."""
    tracing = document.section(config.proxy_config, "tracing")
    old = document.text(config.proxy_config, "zipkinAddress")
    if address := document.text(document.section(tracing, "zipkin"), "address") or old:
        return _zipkin(config, address)
    if document.has(tracing, "lightstep"):
        return _lightstep(config)
    if document.has(tracing, "datadog"):
        return _datadog(config)
    return None


def _remote(
    config: EnvoyConfig, name: str, address: str, key: str, *, http2: bool, refresh: str = ""
) -> Remote:
    settings = document.section(config.proxy_config, "tracing", "tlsSettings")
    return Remote(
        name=name,
        endpoint=Endpoint.parse(address, key=f"tracing.{key}.address", host_ip=config.host_ip),
        http2=http2,
        transport=tls.upstream(config, settings, key="tracing.tlsSettings", sni="tracer", http2=http2),
        refresh=refresh,
    )


def _zipkin(config: EnvoyConfig, address: str) -> Tracer:
    return Tracer(
        cluster=_remote(config, "zipkin", address, "zipkin", http2=False, refresh="30s"),
        provider={
            "name": "envoy.tracers.zipkin",
            "typed_config": {
                "@type": f"{_TYPE}.ZipkinConfig",
                "collector_cluster": "zipkin",
                "collector_endpoint": "/api/v2/spans",
                "collector_endpoint_version": "HTTP_JSON",
                "trace_id_128bit": True,
                "shared_span_context": False,
            },
        },
    )


def _datadog(config: EnvoyConfig) -> Tracer:
    address = document.text(document.section(config.proxy_config, "tracing", "datadog"), "address")
    return Tracer(
        cluster=_remote(config, "datadog_agent", address, "datadog", http2=False),
        provider={
            "name": "envoy.tracers.datadog",
            "typed_config": {
                "@type": f"{_TYPE}.DatadogConfig",
                "collector_cluster": "datadog_agent",
                "service_name": config.node.cluster,
            },
        },
    )


def _lightstep(config: EnvoyConfig) -> Tracer:
    settings = document.section(config.proxy_config, "tracing", "lightstep")
    token = document.text(settings, "accessToken")
    if not token:
        raise Misconfigured(
            "mesh file: defaultConfig.tracing.lightstep.accessToken is missing",
            hint="write the access token of your lightstep project, or take tracing.lightstep out",
        )
    service: Object = {
        "envoy_grpc": {"cluster_name": "lightstep"},
        "timeout": "1s",
    }
    return Tracer(
        cluster=replace(
            _remote(config, "lightstep", document.text(settings, "address"), "lightstep", http2=True),
            header=("lightstep-access-token", f"%ENVIRONMENT({TOKEN_VARIABLE})%"),
        ),
        provider={
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": f"{_TYPE}.OpenTelemetryConfig",
                "grpc_service": service,
                "service_name": config.node.cluster,
            },
        },
        token=token,
    )
