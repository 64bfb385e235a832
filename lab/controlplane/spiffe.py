"""Who a caller is, once proven."""

import re
from dataclasses import dataclass
from typing import Self

_SPIFFE = re.compile(r"spiffe://([^/]+)/ns/([^/]+)/sa/([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpiffeId:
    trust_domain: str
    namespace: str
    account: str

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _SPIFFE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>")
        return cls(trust_domain=match[1], namespace=match[2], account=match[3])

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.account}"
