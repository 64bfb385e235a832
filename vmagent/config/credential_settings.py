"""The environment variables that say how the machine proves who it is: one row each.

Owns:      their names, parsers, defaults and help, as settings.py does for the rest.
Does not:  decide which certificate is shown to whom (credentials.py).
"""

from collections.abc import Callable
from typing import Final, Literal

from vmagent.config import syntax
from vmagent.config.setting import row
from vmagent.config.syntax import boolean, positive_duration, text

_CURVE: Callable[[str], Literal["P256", "P384"]] = syntax.choice("P256", "P384")
_PROVIDER: Callable[[str], Literal["Citadel", "GkeWorkloadCertificate"]] = syntax.choice(
    "Citadel", "GkeWorkloadCertificate"
)

PROV_CERT: Final = row(
    "PROV_CERT",
    text,
    "./etc/certs",
    "Directory of certificates to authenticate with; empty: token only.",
    empty=True,
)
OUTPUT_CERTS: Final = row(
    "OUTPUT_CERTS",
    text,
    "./etc/certs",
    "Directory that our certificates are written to; empty: none.",
    empty=True,
)
SECRET_TTL: Final = row("SECRET_TTL", positive_duration, "24h", "Lifetime of certificate to ask for.")
GRACE_RATIO: Final = row(
    "SECRET_GRACE_PERIOD_RATIO", syntax.ratio, "0.5", "Renew when this part of the lifetime is left."
)
GRACE_JITTER: Final = row(
    "SECRET_GRACE_PERIOD_RATIO_JITTER", syntax.jitter, "0.01", "Spread of that moment over a fleet."
)
ECC: Final = row(
    "ECC_SIGNATURE_ALGORITHM",
    syntax.choice("ECDSA", ""),
    "ECDSA",
    "Kind of key: ECDSA, or empty for RSA.",
    empty=True,
)
ECC_CURVE: Final = row("ECC_CURVE", _CURVE, "P256", "Curve of an ECDSA key.")
RSA_BITS: Final = row(
    "WORKLOAD_RSA_KEY_SIZE",
    syntax.integer(2048, 8192),
    "2048",
    "Bits of an RSA key; set without ECC_SIGNATURE_ALGORITHM it chooses RSA.",
)
PKCS8: Final = row("PKCS8_KEY", boolean, "false", "Write private keys as PKCS#8.")
CERT_SIGNER: Final = row("ISTIO_META_CERT_SIGNER", text, "", "Signer that the CA shall use.")
SOCKET_FILE: Final = row(
    "WORKLOAD_IDENTITY_SOCKET_FILE",
    syntax.file_name,
    "socket",
    "SDS socket, a name below /var/run/secrets/workload-spiffe-uds.",
)
FILE_MOUNTED: Final = row(
    "FILE_MOUNTED_CERTS",
    boolean,
    "false",
    "Other tooling keeps our certificate in files, and no CA is asked. Excludes PROV_CERT.",
)
CA_PROVIDER: Final = row(
    "CA_PROVIDER",
    _PROVIDER,
    "Citadel",
    "Citadel: a CA of Istio; GkeWorkloadCertificate: files that GKE mounts.",
)
FETCHER: Final = row(
    "CREDENTIAL_FETCHER_TYPE",
    syntax.choice("JWT"),
    "JWT",
    "Where the token comes from; JWT: from its file.",
)
