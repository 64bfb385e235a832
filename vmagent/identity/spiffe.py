"""The name that certificates, log lines and comparisons carry."""

import re
from dataclasses import dataclass
from typing import Self

_ID = re.compile(r"spiffe://([^/]*)/ns/([^/]*)/sa/([^/]*)")
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_KUBERNETES_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class SpiffeId:
    """Istio's form of a SPIFFE name. Cannot be built with an empty or ill-formed part."""

    trust_domain: str
    namespace: str
    service_account: str

    def __post_init__(self) -> None:
        if not _TRUST_DOMAIN.fullmatch(self.trust_domain):
            raise ValueError(
                f"{self.trust_domain!r} is not a trust domain (lower case letters, digits, . _ -)"
            )
        for what, name in (("namespace", self.namespace), ("service account", self.service_account)):
            if not _KUBERNETES_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a {what}")

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} is not of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT"
            )
        return cls(trust_domain=match[1], namespace=match[2], service_account=match[3])

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"
