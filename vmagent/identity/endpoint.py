"""Where a control plane listens and which name its certificate must carry. Does not connect (ca_client.py,
diagnose.py).
"""

from dataclasses import dataclass

ISTIOD = "istiod.istio-system.svc"
"""What Istio's agent expects in the certificate when it reaches its control plane through a local port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``host`` is a name or an address without brackets; ``server_name`` overrides the name that TLS
    checks.
    """

    host: str
    port: int
    server_name: str = ""

    @property
    def tls_name(self) -> str:
        if self.server_name:
            return self.server_name
        return ISTIOD if "localhost" in self.host else self.host

    @property
    def loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
