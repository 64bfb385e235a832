"""PeerAuthentication: whether a workload takes plain text, mutual TLS, or both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata

SECURITY: Final = ("security.istio.io/v1", "security.istio.io/v1beta1")
MODES: Final = ("UNSET", "DISABLE", "PERMISSIVE", "STRICT")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAuthentication:
    KIND: ClassVar[str] = "PeerAuthentication"

    metadata: Metadata
    mode: str = "UNSET"
    """UNSET: what the namespace, else the mesh says."""
    selector: Mapping[str, str] = field(default_factory=dict)
    """Empty: the whole namespace; in the root namespace, the whole mesh."""
    ports: Mapping[int, str] = field(default_factory=dict)


def read_peer_authentication(at: Field) -> PeerAuthentication:
    at.leave("status")
    spec = at["spec"]
    ports = spec["portLevelMtls"]
    policy = PeerAuthentication(
        metadata=read_metadata(at["metadata"]),
        mode=spec["mtls"]["mode"].choice(MODES, "UNSET"),
        selector=spec["selector"]["matchLabels"].labels(),
        ports={_port(ports, key): ports[key]["mode"].choice(MODES, "UNSET") for key in ports.names()},
    )
    if policy.ports and not policy.selector:
        raise ports.bad("mTLS port level settings must be used with a selector")
    return policy


def _port(at: Field, key: str) -> int:
    if not key.isdigit() or not 1 <= int(key) <= 65535:
        raise at.bad(f"port number {key} must be in the range 1..65535")
    return int(key)
