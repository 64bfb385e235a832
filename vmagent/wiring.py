"""Which part gets what of the configuration. Pure: values in, values out; nothing is opened or started.

The parts do not know ``Config``; this is where its sections become theirs.
"""

from vmagent._pb import wire_pb2 as wire
from vmagent.config import model
from vmagent.health import config as health
from vmagent.identity.config import IdentityConfig, KeySpec
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.spiffe import SpiffeId
from vmagent.xds import node
from vmagent.xds.upstream import UpstreamConfig


def identity(config: model.Config) -> IdentityConfig:
    credentials, ca = config.credentials, config.control_plane.ca
    return IdentityConfig(
        spiffe=SpiffeId(
            trust_domain=config.workload.trust_domain,
            namespace=config.workload.namespace,
            service_account=config.workload.service_account,
        ),
        token=credentials.token,
        ca=Endpoint(host=ca.address.host, port=ca.address.port, server_name=ca.server_name),
        root_cert=ca.root_cert,
        cluster_id=config.workload.cluster_id,
        cert_signer=credentials.cert_signer,
        ttl=int(credentials.ttl),
        output_dir=credentials.output_dir,
        prov_dir=credentials.prov_dir,
        key=_key(credentials.key),
        grace_ratio=credentials.grace_ratio,
        grace_jitter=credentials.grace_jitter,
        headers=ca.headers,
    )


def upstream(config: model.Config) -> UpstreamConfig:
    peer = config.control_plane.xds
    return UpstreamConfig(
        address=str(peer.address),
        server_name=peer.server_name,
        tls=peer.tls,
        headers=(("clusterid", config.workload.cluster_id), *peer.headers),
    )


def xds_node(config: model.Config) -> wire.Node:
    locality = config.node.locality
    return node.build(
        node_id=config.node.id,
        cluster=config.node.cluster,
        locality="/".join(filter(None, (locality.region, locality.zone, locality.subzone))),
        metadata=config.node.metadata,
    )


def probe(config: model.Probe) -> health.ProbeConfig:
    return health.ProbeConfig(
        method=_method(config.method),
        default_host=config.default_host,
        initial_delay=config.initial_delay,
        timeout=config.timeout,
        period=config.period,
        success_threshold=config.success_threshold,
        failure_threshold=config.failure_threshold,
    )


def _key(key: model.KeyKind) -> KeySpec:
    return KeySpec(
        algorithm="RSA" if key.algorithm == "RSA" else key.curve, rsa_bits=key.rsa_bits, pkcs8=key.pkcs8
    )


def _method(method: model.HttpGet | model.TcpSocket | model.Exec | model.Grpc) -> health.Method:
    match method:
        case model.HttpGet():
            return health.HttpGet(
                port=method.port,
                path=method.path,
                host=method.host,
                tls=method.scheme == "https",
                headers=tuple(health.Header(name=name, value=value) for name, value in method.headers),
            )
        case model.TcpSocket():
            return health.TcpSocket(port=method.port, host=method.host)
        case model.Exec():
            return health.Exec(command=method.command)
        case model.Grpc():
            return health.Grpc(port=method.port, service=method.service)
