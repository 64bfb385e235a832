"""Where statistics and access logs are sent, if anywhere: metrics service, statsd, access log service.

Owns:      their clusters and Envoy's ``stats_sinks``.
Does not:  configure access logs; listeners from the control plane name the cluster made here.
Surprise:  Envoy takes an IP address for statsd and nothing else. Istio's agent looks the name up while
           everything waits; here a name means no statsd, and the operator is told (``left_out``).
"""

from vmagent.envoy import document, tls
from vmagent.envoy.addresses import Endpoint, udp
from vmagent.envoy.clusters import Remote
from vmagent.envoy.config import EnvoyConfig, Json, Object

METRICS, ACCESS_LOG = "envoy_metrics_service", "envoy_accesslog_service"
_TYPE = "type.googleapis.com/envoy.config.metrics.v3"


def remotes(config: EnvoyConfig) -> list[Remote]:
    found = (
        _service(config, "envoyMetricsService", METRICS, old="envoyMetricsServiceAddress"),
        _service(config, "envoyAccessLogService", ACCESS_LOG),
    )
    return [remote for remote in found if remote is not None]


def stats_sinks(config: EnvoyConfig) -> list[Json]:
    made: list[Json] = []
    if any(remote.name == METRICS for remote in remotes(config)):
        service: Object = {
            "@type": f"{_TYPE}.MetricsServiceConfig",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": METRICS}},
        }
        made.append({"name": "envoy.stat_sinks.metrics_service", "typed_config": service})
    endpoint = statsd(config)
    if endpoint is not None and endpoint.is_literal:
        sink: Object = {"@type": f"{_TYPE}.StatsdSink", "address": udp(endpoint.host, endpoint.port)}
        made.append({"name": "envoy.stat_sinks.statsd", "typed_config": sink})
    return made


def statsd(config: EnvoyConfig) -> Endpoint | None:
    address = document.text(config.proxy_config, "statsdUdpAddress")
    return Endpoint.parse(address, key="statsdUdpAddress", host_ip=config.host_ip) if address else None


def _service(config: EnvoyConfig, key: str, name: str, *, old: str = "") -> Remote | None:
    settings = document.section(config.proxy_config, key)
    address = document.text(settings, "address") or (document.text(config.proxy_config, old) if old else "")
    if not address:
        return None
    secure = document.section(settings, "tlsSettings")
    return Remote(
        name=name,
        endpoint=Endpoint.parse(address, key=f"{key}.address", host_ip=config.host_ip),
        http2=True,
        transport=tls.upstream(config, secure, key=f"{key}.tlsSettings", sni=name, http2=True),
        keepalive=document.section(settings, "tcpKeepalive"),
    )
