"""What the names of secrets mean. Pure, but for a look which bundle of roots this machine has.

Owns:      ``default`` and ``ROOTCA``; names of files (``file-cert:CHAIN~KEY``, ``file-root:ROOTS``, as istiod
           writes them for DestinationRules and Gateways with certificates of their own); the sentence for
           every other name.
Does not:  read a file (identity does), or serve anything.
Surprise:  ``kubernetes://`` is istiod's own business: it sends those secrets over xDS, to gateways that may
           have them. Whoever asks for one here is mistaken, and gets told so.
"""

from pathlib import Path
from typing import Final

from vmagent.identity.certsource import PairFiles, RootFile, Source
from vmagent.identity.trust import SYSTEM_BUNDLES

DEFAULT: Final = "default"
ROOTCA: Final = "ROOTCA"
OWN: Final = frozenset({DEFAULT, ROOTCA})
"""What istiod's configuration names for the mesh's own certificates."""

CERT, ROOT = "file-cert:", "file-root:"
SYSTEM: Final = "system"
"""``file-root:system``: the roots of the operating system."""

LONGEST: Final = 200
"""Characters of a name that a message repeats."""

_ISTIODS: Final = "istiod itself serves what is kept in Kubernetes (credentialName), over xDS, to gateways"
_ELSEWHERE: Final = {
    "kubernetes": f"{_ISTIODS}; on a VM name files (clientCertificate, privateKey, caCertificates)",
    "kubernetes-gateway": _ISTIODS,
    "configmap": _ISTIODS,
    "sds": "whoever serves it at /var/run/secrets/credential-uds/socket was not there when the agent began",
    "builtin": f"istiod writes {DEFAULT} or {ROOTCA} for it",
}
"""By scheme: who else has such secrets."""


class Refused(ValueError):
    """There is no such secret, and there will be none. The text is a sentence with a remedy."""


def source(name: str, base: Path) -> Source:
    """The files behind a name that is not one of ``OWN``. Relative ones start at ``base``. Raises Refused."""
    if name.startswith(CERT):
        chain, tilde, key = name.removeprefix(CERT).partition("~")
        if not tilde or not chain or not key or "~" in key:
            raise _refused(name, f"write {CERT}CHAIN~KEY, two files with one ~ in between")
        return PairFiles(base / chain, base / key)
    if name.startswith(ROOT):
        path = name.removeprefix(ROOT)
        if not path or "~" in path:
            raise _refused(name, f"write {ROOT}FILE, or {ROOT}{SYSTEM}")
        return RootFile(_system(name) if path == SYSTEM else base / path)
    scheme, slashes, _ = name.partition("://")
    known = _ELSEWHERE.get(scheme) if slashes else None
    raise _refused(name, known or f"there are {DEFAULT}, {ROOTCA}, {CERT}CHAIN~KEY and {ROOT}FILE")


def _system(name: str) -> Path:
    for bundle in SYSTEM_BUNDLES:
        if bundle.is_file():
            return bundle
    raise _refused(name, "this machine has no bundle of root certificates: install ca-certificates")


def _refused(name: str, why: str) -> Refused:
    shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}…"
    return Refused(f"no secret named {shown!r}: {why}")
