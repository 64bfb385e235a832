"""Whom the mesh is recognised by: what the CA says, and what an operator added to root-cert.pem. Pure.

Owns:      that a root counts from the moment it stands in the file, and that ours does not push it out again.
Does not:  read files, or judge certificates.
Surprise:  we write that file ourselves, with each certificate. What in it is an operator's? Our chain ends
           with the roots that the CA sent: a file with anything else in it was edited, and then all of it is
           what he wants, the old root included, until he takes it out.
"""

import re
from typing import Final

_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

Blocks = dict[bytes, bytes]
"""Certificates without line ends, to compare them, to how they are written; in their order."""


def blocks(pem: bytes) -> Blocks:
    return {b"".join(block.split()): block for block in _BLOCK.findall(pem)}


def edited(file: bytes, chain: bytes) -> bool:
    """Whether there is something in the root file that no CA put there. ``chain``: ours, roots included."""
    return not blocks(file).keys() <= blocks(chain).keys()


def trusted(from_ca: bytes, file: bytes, chain: bytes) -> bytes:
    """The roots to go by. ``from_ca``: those of the newest certificate; ``file``: what stands in
    root-cert.pem now; ``chain``: of the certificate that we held when it was written, empty for none.
    """
    if not chain or not edited(file, chain):
        return from_ca
    both = blocks(from_ca) | blocks(file)
    return (
        from_ca if both.keys() == blocks(from_ca).keys() else b"".join(each + b"\n" for each in both.values())
    )


def of_ca(roots: bytes, chain: bytes) -> bytes:
    """Those of ``roots`` that the CA sent, which stand in the ``chain``; all of them if none does."""
    known = blocks(chain)
    found = {key: block for key, block in blocks(roots).items() if key in known}
    return b"".join(each + b"\n" for each in found.values()) or roots
