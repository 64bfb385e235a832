"""Whether a file holds PEM certificates that are at least whole.

Owns:      armour, base64 and the outer length of the DER inside.
Does not:  read certificates: dates, names and signatures are the business of identity.
"""

import base64
import binascii
import re

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.S)
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


class Damaged(ValueError):
    """Says what is wrong; ``line`` is where it begins."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


def certificates(data: bytes) -> int:
    """How many there are, at least one. Raises ``Damaged``."""
    begun = list(_BEGIN.finditer(data))
    whole = {match.start(): match for match in _BLOCK.finditer(data)}
    count = 0
    for number, start in enumerate(begun, 1):
        line = data.count(b"\n", 0, start.start()) + 1
        kind = start[1].decode()
        if kind not in ("CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"):
            raise Damaged(f"holds a {kind}, not a certificate", line)
        match = whole.get(start.start())
        if match is None:
            raise Damaged(f"certificate {number} has no end", line)
        if not _is_whole(match[2]):
            raise Damaged(f"certificate {number} is damaged", line)
        count += 1
    if not count:
        raise Damaged("holds no PEM certificate" if data.strip() else "is empty", 1)
    return count


def _is_whole(body: bytes) -> bool:
    """Base64 of one DER sequence, neither cut nor with something behind it."""
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        return False
    if len(der) < 4 or der[0] != 0x30:
        return False
    if der[1] < 0x80:
        return len(der) == 2 + der[1]
    size = der[1] & 0x7F
    return 0 < size <= 4 and len(der) == 2 + size + int.from_bytes(der[2 : 2 + size], "big")
