"""How a connection to the control plane is secured: what is shown, what is expected, and the gRPC channel.

Owns:      what goes into a channel's credentials; the only door to them.
Does not:  decide what is shown (introduction.py) or explain a failure (diagnose.py).
Surprise:  every attempt has a channel of its own, so that roots, certificate and token count as they are on
           disk at that moment, and nothing of a failed attempt lingers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import grpc
import grpc.aio

from vmagent.identity.credential import KeyPair
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.trust import Roots

Option: TypeAlias = tuple[str, int | str]

ALWAYS: Final[Sequence[Option]] = (
    ("grpc.enable_http_proxy", 0),  # the control plane is not behind the web proxy of a login shell
    ("grpc.use_local_subchannel_pool", 1),  # else a failed attempt's pause would be the next one's, too
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """What shows the control plane who we are, read afresh for each attempt. The certificate, if there is a
    valid one, goes beside the token. ``doubt`` is what is known against either, for the sentence that
    explains a refusal.
    """

    roots: Roots | None
    """Those its certificate must lead to; None: no TLS."""
    token: str = field(default="", repr=False)
    pair: KeyPair | None = None
    doubt: str = ""


def options(endpoint: Endpoint, shown: Authentication) -> list[Option]:
    """Those that security needs. The server's name is checked against the certificate, not the address."""
    named: list[Option] = [("grpc.ssl_target_name_override", endpoint.tls_name)] if shown.roots else []
    return [*ALWAYS, *named]


def connect(endpoint: Endpoint, shown: Authentication, more: Sequence[Option] = ()) -> grpc.aio.Channel:
    """Nothing is sent before the first call. gRPC speaks TLS 1.2 or later."""
    chosen = [*options(endpoint, shown), *more]
    if shown.roots is None:
        return grpc.aio.insecure_channel(str(endpoint), chosen)
    pair = shown.pair
    credentials = grpc.ssl_channel_credentials(
        shown.roots.pem, pair.key_pem if pair else None, pair.chain_pem if pair else None
    )
    return grpc.aio.secure_channel(str(endpoint), credentials, chosen)
