"""Certificates in files that somebody else looks after: read whole, judged before anybody uses them.

Owns:      how they are read, and a sentence with file and remedy for each way they can be wrong.
Does not:  notice changes (certwatch.py); know who wants it.
Surprise:  a key and a certificate are replaced one after the other, and only that they fit says that both
           halves are of one pair. So nothing is used unseen, and a file that is no certificate never leaves
           this module, whoever named it.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vmagent.errors import Misconfigured
from vmagent.identity.certsource import PairFiles, RootFile, Source
from vmagent.identity.credential import KeyPair
from vmagent.identity.keys import Signer
from vmagent.runtime import files

LARGEST: Final = 512 * 1024
"""Bytes of one file. The bundles of distributions are about 250 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """``pair`` fits. Times are epoch seconds; ``uri`` is the certificate's first, often a SPIFFE name."""

    pair: KeyPair
    not_before: float
    not_after: float
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """At least one authority, each of them whole; ``dropped`` of the file's were not."""

    pem: bytes = field(repr=False)
    dropped: int


Content = Pair | Bundle


def read(source: Source) -> tuple[bytes, ...]:
    """The bytes of ``source.paths``, not judged. Raises Misconfigured."""
    return tuple(_read(path) for path in source.paths)


def _read(path: Path) -> bytes:
    try:
        data = files.read_small(path, most=LARGEST, follow=True)  # secrets of Kubernetes are symbolic links
    except FileNotFoundError:
        raise Misconfigured(f"{path} does not exist", hint="put it there, or correct its name") from None
    except PermissionError:
        quoted = shlex.quote(str(path))
        raise Misconfigured(
            f"{path} cannot be read: permission denied",
            hint=f"chgrp istio-proxy {quoted} && chmod g+r {quoted}, and let the group enter its directories",
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Misconfigured(f"{path} cannot be read: {why.lower()}", hint="put a PEM file there") from None
    if not data.strip():
        raise Misconfigured(f"{path} is empty", hint="put a PEM file there")
    return data


async def judge(source: Source, data: Sequence[bytes], signer: Signer) -> Content:
    """Raises Refused if it is not fit for use, Unavailable if the signer fails."""
    match source:
        case PairFiles():
            chain, key = data
            names = (str(source.chain), str(source.key))
            leaf = await signer.pair(chain=chain, key=key, names=names)
            return Pair(
                pair=KeyPair(key_pem=key, chain_pem=chain),
                not_before=leaf.not_before,
                not_after=leaf.not_after,
                uri=leaf.uri,
            )
        case RootFile():
            pem, dropped = await signer.bundle(data[0], name=str(source.root))
            return Bundle(pem=pem, dropped=dropped)
