"""Istio's ProxyConfig and MeshConfig: which fields there are, their defaults, how one lies over another.

Owns:      the tables below, one row per field of istio/api mesh/v1alpha1, those of older releases included.
Does not:  read files; decide what a field does here.
Surprise:  documents replace whole fields; only proxyMetadata is merged key by key, and five of the
           proxyHeaders keep an earlier value.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vmagent.config.model import Json
from vmagent.config.schema import (
    ADDRESS,
    BOOLEAN,
    DURATION,
    INT32,
    NUMBER,
    PORT,
    TEXT,
    UINT32,
    MapOf,
    Message,
    Open,
    Repeated,
    Scalar,
    enum,
    integer,
)

_NATURAL = integer(0, (1 << 31) - 1)

_TLS_SETTINGS = Message(
    {
        "mode": enum(DISABLE=0, SIMPLE=1, MUTUAL=2, ISTIO_MUTUAL=3),
        "clientCertificate": TEXT,
        "privateKey": TEXT,
        "caCertificates": TEXT,
        "caCrl": TEXT,
        "credentialName": TEXT,
        "subjectAltNames": Repeated(TEXT),
        "sni": TEXT,
        "insecureSkipVerify": BOOLEAN,
    }
)

_REMOTE_SERVICE = Message(
    {
        "address": ADDRESS,
        "tlsSettings": _TLS_SETTINGS,
        "tcpKeepalive": Message({"probes": UINT32, "time": DURATION, "interval": DURATION}),
    }
)

_TRACING = Message(
    {
        "zipkin": Message({"address": ADDRESS}),
        "lightstep": Message({"address": ADDRESS, "accessToken": TEXT}),
        "datadog": Message({"address": ADDRESS}),
        "stackdriver": Message(
            {
                "debug": BOOLEAN,
                "maxNumberOfAttributes": INT32,
                "maxNumberOfAnnotations": INT32,
                "maxNumberOfMessageEvents": INT32,
            }
        ),
        "openCensusAgent": Open(),
        "customTags": MapOf(Open()),
        "maxPathTagLength": UINT32,
        "sampling": NUMBER,
        "tlsSettings": _TLS_SETTINGS,
        "enableIstioTags": BOOLEAN,
    }
)

_HTTP_GET = Message(
    {
        "path": TEXT,
        "port": PORT,
        "host": TEXT,
        "scheme": TEXT,
        "httpHeaders": Repeated(Message({"name": TEXT, "value": TEXT})),
    }
)

READINESS_PROBE: Final = Message(
    {
        "initialDelaySeconds": _NATURAL,
        "timeoutSeconds": _NATURAL,
        "periodSeconds": _NATURAL,
        "successThreshold": _NATURAL,
        "failureThreshold": _NATURAL,
        "httpGet": _HTTP_GET,
        "tcpSocket": Message({"host": TEXT, "port": PORT}),
        "exec": Message({"command": Repeated(TEXT)}),
        "grpc": Message({"port": PORT, "service": TEXT}),
    }
)

_DISABLED = Message({"disabled": BOOLEAN})

_PROXY_HEADERS = Message(
    {
        "forwardedClientCert": enum(
            UNDEFINED=0, SANITIZE=1, FORWARD_ONLY=2, APPEND_FORWARD=3, SANITIZE_SET=4, ALWAYS_FORWARD_ONLY=5
        ),
        "setCurrentClientCertDetails": Open(),
        "requestId": _DISABLED,
        "server": Message({"disabled": BOOLEAN, "value": TEXT}),
        "attemptCount": _DISABLED,
        "envoyDebugHeaders": _DISABLED,
        "metadataExchangeHeaders": Open(),
        "preserveHttp1HeaderCase": BOOLEAN,
        "xForwardedHost": Open(),
        "xForwardedPort": Open(),
    }
)

PROXY_CONFIG: Final = Message(
    {
        "configPath": TEXT,
        "binaryPath": TEXT,
        "serviceCluster": TEXT,
        "tracingServiceName": enum(
            APP_LABEL_AND_NAMESPACE=0, CANONICAL_NAME_ONLY=1, CANONICAL_NAME_AND_NAMESPACE=2
        ),
        "drainDuration": DURATION,
        "parentShutdownDuration": DURATION,
        "terminationDrainDuration": DURATION,
        "discoveryAddress": ADDRESS,
        "discoveryRefreshDelay": DURATION,
        "zipkinAddress": ADDRESS,
        "statsdUdpAddress": ADDRESS,
        "envoyMetricsServiceAddress": ADDRESS,
        "proxyAdminPort": PORT,
        "availabilityZone": TEXT,
        "controlPlaneAuthPolicy": enum(NONE=0, MUTUAL_TLS=1),
        "customConfigFile": TEXT,
        "statNameLength": INT32,
        "concurrency": _NATURAL,
        "proxyBootstrapTemplatePath": TEXT,
        "interceptionMode": enum(REDIRECT=0, TPROXY=1, NONE=2),
        "tracing": _TRACING,
        "sds": Message({"enabled": BOOLEAN, "k8sSaJwtPath": TEXT}),
        "envoyAccessLogService": _REMOTE_SERVICE,
        "envoyMetricsService": _REMOTE_SERVICE,
        "proxyMetadata": MapOf(TEXT),
        "runtimeValues": MapOf(TEXT),
        "statusPort": PORT,
        "extraStatTags": Repeated(TEXT),
        "gatewayTopology": Open(),
        "meshId": TEXT,
        "readinessProbe": READINESS_PROBE,
        "proxyStatsMatcher": Message(
            {
                "inclusionPrefixes": Repeated(TEXT),
                "inclusionSuffixes": Repeated(TEXT),
                "inclusionRegexps": Repeated(TEXT),
            }
        ),
        "holdApplicationUntilProxyStarts": BOOLEAN,
        "caCertificatesPem": Repeated(TEXT),
        "image": Message({"imageType": TEXT}),
        "privateKeyProvider": Message(
            {
                "cryptomb": Message({"pollDelay": DURATION, "fallback": BOOLEAN}),
                "qat": Message({"pollDelay": DURATION, "fallback": BOOLEAN}),
            }
        ),
        "proxyHeaders": _PROXY_HEADERS,
        "fileFlushInterval": DURATION,
        "fileFlushMinSizeKb": UINT32,
        "statsCompression": BOOLEAN,
        "connectionSettings": Open(),
    }
)

_MESH_WIDE: Final = """
    proxyListenPort proxyInboundListenPort proxyHttpPort connectTimeout protocolDetectionTimeout tcpKeepalive
    ingressClass ingressService ingressControllerMode ingressSelector enableTracing accessLogFile
    accessLogFormat accessLogEncoding enableEnvoyAccessLogService disableEnvoyListenerLog
    outboundTrafficPolicy inboundTrafficPolicy configSources enableAutoMtls trustDomainAliases caCertificates
    defaultServiceExportTo defaultVirtualServiceExportTo defaultDestinationRuleExportTo
    defaultTrafficDistribution rootNamespace localityLbSetting dnsRefreshRate h2UpgradePolicy
    inboundClusterStatName outboundClusterStatName certificates thriftConfig serviceSettings
    enablePrometheusMerge verifyCertificateAtClient ca extensionProviders defaultProviders discoverySelectors
    pathNormalization defaultHttpRetryPolicy meshMTLS tlsDefaults serviceScopeConfigs hboneConfig
    statNameLength disableMixerHttpReports disablePolicyChecks mixerCheckServer mixerReportServer
    policyCheckFailOpen reportBatchMaxEntries reportBatchMaxTime sidecarToTelemetrySessionAffinity
    enableClientSidePolicyCheck authPolicy rdsRefreshDelay enableSdsTokenMount sdsUdsPath sdsUseK8sSaJwt
    """
"""MeshConfig fields that concern istiod alone: known, so that none is called misspelt; not looked into."""


MESH_CONFIG: Final = Message(
    {
        "defaultConfig": PROXY_CONFIG,
        "trustDomain": TEXT,
        **dict.fromkeys(_MESH_WIDE.split(), Scalar(lambda value: value)),
    }
)


PACKAGE: Final = Path("/usr/lib/istio-agent")
"""Where the Debian package has an interpreter and an Envoy."""

ENVOY: Final = PACKAGE / "bin" / "envoy" if Path(sys.prefix) == PACKAGE else Path("/usr/local/bin/envoy")
"""The package's own Envoy where the package's own interpreter runs this, Istio's place otherwise."""

DEFAULTS: Final[Mapping[str, Json]] = {
    "configPath": "/etc/istio/proxy",
    "binaryPath": str(ENVOY),
    "serviceCluster": "istio-proxy",
    "drainDuration": "45s",
    "terminationDrainDuration": "5s",
    "proxyAdminPort": 15000,
    "controlPlaneAuthPolicy": "MUTUAL_TLS",
    "statNameLength": 189,
    "statusPort": 15020,
}
"""As Istio's, paths absolute. The default discoveryAddress depends on the system namespace: upstreams.py."""

_ONE_OF: Final = ("serviceCluster", "tracingServiceName")
_KEPT_HEADERS: Final = ("forwardedClientCert", "requestId", "attemptCount", "server", "envoyDebugHeaders")


def overlay(base: Mapping[str, Json], over: Mapping[str, Json]) -> dict[str, Json]:
    """``over`` laid on ``base``, both checked ProxyConfigs. Neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if key == "proxyMetadata" and isinstance(below, dict) and isinstance(value, dict):
            value = {**below, **value}
        elif key == "proxyHeaders" and isinstance(below, dict) and isinstance(value, dict):
            value = {**{name: below[name] for name in _KEPT_HEADERS if name in below}, **value}
        elif key in _ONE_OF:
            merged = {name: kept for name, kept in merged.items() if name not in _ONE_OF}
        merged[key] = value
    return merged
