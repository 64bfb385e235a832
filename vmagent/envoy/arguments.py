"""Envoy's command line.

Owns:      every flag and its reason, and the environment. Pure.
Does not:  read files; the override document comes as text.
Surprise:  Istio's agent disables hot restart. Ours keeps it, because an upgrade must not drop connections,
           and pays with a base id: the name by which Envoys find one another in shared memory and sockets.
           Envoy logs to its own standard error, opened by name: as to a file, from a thread of its own. Who
           carries requests then never waits for a pipe that is full, and a pipe that nobody reads costs
           lines. Written to directly, the first such line would be the last for good.
"""

from pathlib import Path

from vmagent.envoy import overlay
from vmagent.envoy.addresses import all_ipv6
from vmagent.envoy.bootstrap import EPOCH
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.tracing import TOKEN_VARIABLE, tracer
from vmagent.errors import Misconfigured

MAX_OVERRIDE = 120 * 1024
"""Bytes. Linux takes no single argument above 128 KiB."""

LOG = "/dev/stderr"

FIPS_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""What FIPS 140 allows for TLS 1.2, which is what such a machine speaks."""


def base_id(config: EnvoyConfig) -> int:
    """Two agents on one machine need different admin ports anyhow, so the port tells their Envoys apart, too.

    Machines made of namespaces do not meet even with the same one: abstract sockets belong to the network
    namespace, /dev/shm to the mount. Nor do we meet an Envoy of somebody else's, whose base id is 0.
    """
    return config.ports.admin


def shared_memory(config: EnvoyConfig) -> Path:
    """What Envoy leaves behind when it ends. It multiplies the base id by ten."""
    return Path(f"/dev/shm/envoy_shared_memory_{base_id(config) * 10}")


def bootstrap_path(config: EnvoyConfig, epoch: int) -> Path:
    return config.config_dir / f"envoy-rev{epoch}.json"


def arguments(config: EnvoyConfig, *, epoch: int = 0, override: str = "") -> list[str]:
    """The whole of argv. ``override`` is the content of ISTIO_BOOTSTRAP_OVERRIDE: no place for secrets, since
    every user of the machine can read a command line. Raises Misconfigured for one that cannot be used.
    """
    timing = config.timing
    document = config.custom_config_file or bootstrap_path(config, epoch)
    # fmt: off
    made = [
        str(config.binary),
        "-c", str(document),
        "--base-id", str(base_id(config)),
        "--restart-epoch", str(epoch),
        "--drain-time-s", str(round(timing.drain)),
        "--drain-strategy", "immediate",
        "--parent-shutdown-time-s", str(round(timing.parent_shutdown)),
        "--local-address-ip-version", "v6" if all_ipv6(config.ips) else "v4",
        "--file-flush-interval-msec", str(round(timing.file_flush * 1000)),
        "--log-path", LOG,
        "--allow-unknown-static-fields",
    ]
    # fmt: on
    if config.file_flush_min_kb:
        made += ["--file-flush-min-size-kb", str(config.file_flush_min_kb)]
    made += ["-l", config.log_level]
    if config.component_log_levels:
        made += ["--component-log-level", ",".join(config.component_log_levels)]
    if config.skip_deprecated_logs:
        made += ["--skip-deprecated-logs"]
    if config.core_dump:
        made += ["--enable-core-dump"]
    if merged := _merged(config, epoch, override):
        made += ["--config-yaml", merged]
    if config.concurrency:
        made += ["--concurrency", str(config.concurrency)]
    return made


def environment(config: EnvoyConfig) -> dict[str, str]:
    """All that Envoy gets of an environment."""
    made = dict(config.environment)
    chosen = tracer(config)
    if chosen and chosen.token:
        made[TOKEN_VARIABLE] = chosen.token
    if config.fips:
        made["GRPC_SSL_CIPHER_SUITES"] = ":".join(FIPS_CIPHERS)
    return made


def _merged(config: EnvoyConfig, epoch: int, override: str) -> str:
    """What Envoy merges over the bootstrap. One of the operator's own has no epoch, by which the agent knows
    two Envoys apart that ask for configuration.
    """
    text = _with_host(config, _bounded(config, override))
    if config.custom_config_file is None:
        return text
    where = f"ISTIO_BOOTSTRAP_OVERRIDE: {config.bootstrap_override}"
    return _bounded(config, overlay.with_metadata(text, where, EPOCH, str(epoch)))


def _bounded(config: EnvoyConfig, text: str) -> str:
    if len(text.encode()) > MAX_OVERRIDE:
        raise Misconfigured(
            f"ISTIO_BOOTSTRAP_OVERRIDE: {config.bootstrap_override} is larger than {MAX_OVERRIDE} bytes",
            hint="use customConfigFile for a configuration of that size",
        )
    return text


def _with_host(config: EnvoyConfig, text: str) -> str:
    if not config.host_ip:
        return text
    bare = config.host_ip.strip("[]")
    host = f"[{bare}]" if ":" in bare else bare
    return text.replace("[$(HOST_IP)]", host).replace("$(HOST_IP)", host)
