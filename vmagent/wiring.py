"""Which part gets what of the configuration. Pure: values in, values out; nothing is opened or started.

The parts do not know ``Config``; this is where its sections become theirs.
"""

from pathlib import Path

from vmagent._pb import wire_pb2 as wire
from vmagent.config import model
from vmagent.dns.config import DnsConfig
from vmagent.envoy import config as envoy_room
from vmagent.envoy import rights
from vmagent.health import config as health
from vmagent.identity.certsource import PairFiles, RootFile
from vmagent.identity.config import IdentityConfig, KeySpec, MountedFiles
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.spiffe import SpiffeId
from vmagent.status.scrape import Sources
from vmagent.xds import node as xds_room
from vmagent.xds.lastgood.part import LastGoodConfig
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
        mounted=_mounted(credentials.mounted),
        mounted_client=_pair(credentials.xds_pair),
        key=_key(credentials.key),
        grace_ratio=credentials.grace_ratio,
        grace_jitter=credentials.grace_jitter,
        headers=ca.headers,
    )


def upstream(config: model.Config) -> UpstreamConfig:
    peer = config.control_plane.xds
    return UpstreamConfig(
        endpoint=Endpoint(host=peer.address.host, port=peer.address.port, server_name=peer.server_name),
        delta=config.control_plane.delta,
        headers=(("clusterid", config.workload.cluster_id), *peer.headers),
        keepalive=config.control_plane.keepalive_interval,
        keepalive_timeout=config.control_plane.keepalive_timeout,
    )


def expected(config: model.Config) -> str:
    """What the control plane must know of this VM: the remedy where it refuses us."""
    who = config.workload
    if not who.group:
        return f"is service account {who.service_account} of namespace {who.namespace} known there?"
    return (
        f"there must be a WorkloadGroup {who.namespace}/{who.group} (ISTIO_META_AUTO_REGISTER_GROUP) for "
        f"service account {who.service_account} (SERVICE_ACCOUNT): create it there, or correct cluster.env"
    )


def xds_node(config: model.Config) -> wire.Node:
    locality = config.node.locality
    return xds_room.build(
        node_id=config.node.id,
        cluster=config.node.cluster,
        locality="/".join(filter(None, (locality.region, locality.zone, locality.subzone))),
        metadata=config.node.metadata,
    )


def last_good(config: model.Config) -> LastGoodConfig:
    """The address is not part of whose it is: one that DHCP changed is no other machine."""
    who = config.workload
    return LastGoodConfig(
        directory=config.envoy.config_dir,
        enabled=config.agent.last_known_good,
        max_age=config.agent.last_known_good_max_age,
        owner={
            "name": who.name,
            "identity": f"{who.trust_domain}/ns/{who.namespace}/sa/{who.service_account}",
            "role": config.role,
            "cluster": who.cluster_id,
            "network": who.network,
            "control plane": str(config.control_plane.xds.address),
        },
    )


def envoy(config: model.Config, run_dir: Path, *, lowest_port: int = 1) -> envoy_room.EnvoyConfig:
    """``lowest_port`` that it may listen on, where that matters: on a router."""
    asked = config.envoy
    return envoy_room.EnvoyConfig(
        node=_node(config.node),
        proxy_config=asked.proxy_config,
        ips=config.workload.ips,
        dual_stack=asked.dual_stack,
        ports=_ports(config),
        timing=_timing(asked),
        binary=asked.binary,
        config_dir=asked.config_dir,
        run_dir=run_dir,
        xds_socket=asked.xds_socket,
        sds_socket=config.credentials.sds_socket,
        custom_config_file=asked.custom_config_file,
        bootstrap_override=asked.bootstrap_override,
        outlier_log=asked.outlier_log,
        log_level=asked.log_level,
        component_log_levels=asked.component_log_levels,
        skip_deprecated_logs=asked.skip_deprecated_logs,
        core_dump=asked.core_dump,
        concurrency=asked.concurrency,
        file_flush_min_kb=asked.file_flush_min_kb,
        delta_xds=config.control_plane.delta,
        metadata_discovery=asked.metadata_discovery,
        status_proxy_protocol=asked.status_proxy_protocol,
        metrics_localhost_only=asked.metrics_localhost_only,
        exit_on_zero=asked.exit_on_zero,
        advice=rights.advice(lowest_port),
        drains_inbound_only=config.role == "sidecar",
        host_ip=asked.host_ip,
    )


def dns(config: model.Config) -> DnsConfig:
    asked = config.dns
    return DnsConfig(
        enabled=asked.enabled,
        listen=asked.listen,
        namespace=asked.namespace,
        domain=asked.domain,
        forward_timeout=asked.forward_timeout,
        parallel=asked.parallel,
        resolv_conf=asked.resolv_conf,
    )


def sources(config: model.Config) -> Sources:
    return Sources(
        envoy=config.envoy.prometheus_port if config.status.merge_envoy_stats else 0,
        applications=tuple((target.port, target.path) for target in config.status.scrape),
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


def _node(node: model.Node) -> envoy_room.Node:
    locality = node.locality
    return envoy_room.Node(
        id=node.id,
        cluster=node.cluster,
        locality={"region": locality.region, "zone": locality.zone, "sub_zone": locality.subzone},
        metadata=node.metadata,
    )


def _ports(config: model.Config) -> envoy_room.Ports:
    return envoy_room.Ports(
        admin=config.envoy.admin_port,
        agent=config.status.port,
        health=config.envoy.health_port,
        prometheus=config.envoy.prometheus_port,
        secure_metrics=config.envoy.secure_metrics_port,
        secure_merged_metrics=config.envoy.secure_merged_metrics_port,
    )


def _timing(asked: model.Envoy) -> envoy_room.Timing:
    return envoy_room.Timing(
        drain=asked.drain_time,
        parent_shutdown=asked.parent_shutdown_time,
        termination_drain=asked.termination_drain,
        minimum_drain=asked.minimum_drain,
        file_flush=asked.file_flush_interval,
    )


def _pair(files: model.PairFiles | None) -> PairFiles | None:
    return PairFiles(files.chain, files.key) if files else None


def _mounted(files: model.MountedFiles | None) -> MountedFiles | None:
    if files is None:
        return None
    return MountedFiles(pair=PairFiles(files.chain, files.key), root=RootFile(files.root))


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
