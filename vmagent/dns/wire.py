"""The only door to dnslib, opened when a message has a shape that message.py does not read by itself.

Imported on first need: such messages are rare, and dnslib costs 1 MB resident.
Surprise: dnslib raises whatever its parser stumbles over, so both functions treat every such error as
          *unsound*.
"""

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dnslib import DNSRecord

_OPT: Final = 41
_STUMBLES: Final = (
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    RecursionError,
    struct.error,
)
_READABLE: Final = 8192
"""Bytes. dnslib needs some 20 µs per record, and while it reads nobody else is served."""


def additional_opt(packet: bytes) -> tuple[int, int, bool] | tuple[()] | None:
    """(UDP size, EDNS version, DO) of a request with unusual sections; () if it has no OPT; None if it is
    unsound.
    """
    record = _parse(packet)
    if record is None:
        return None
    opts = [rr for rr in record.ar if rr.rtype == _OPT]
    if len(opts) > 1:  # RFC 6891, 6.1.1
        return None
    for opt in opts:
        return opt.rclass, opt.ttl >> 16 & 255, opt.ttl & 0x8000 != 0
    return ()


def shorten(packet: bytes, limit: int, question_end: int) -> bytes:
    """``packet`` cut to ``limit`` bytes with TC set: as many whole answers as fit, the OPT record kept.

    What dnslib cannot read is cut down to header and question, which ends at ``question_end``: TC alone
    makes the client come again by TCP.
    """
    record = _parse(packet)
    if record is not None:
        record.header.tc = 1
        record.auth = []
        record.ar = [rr for rr in record.ar if rr.rtype == _OPT]
        while True:
            packed = _pack(record)
            if packed is not None and len(packed) <= limit:
                return packed
            if not record.rr:
                break
            # Halving, not one by one: a reply of 64 KB has thousands of records and packing is slow.
            del record.rr[len(record.rr) // 2 :]
    return packet[:2] + bytes((packet[2] | 2, packet[3])) + b"\0\1" + bytes(6) + packet[12:question_end]


def _parse(packet: bytes) -> "DNSRecord | None":
    if len(packet) > _READABLE:
        return None
    try:
        from dnslib import DNSRecord

        return DNSRecord.parse(packet)
    except _dnslib_errors():
        return None


def _pack(record: "DNSRecord") -> bytes | None:
    try:
        return bytes(record.pack())
    except _dnslib_errors():
        return None


def _dnslib_errors() -> tuple[type[Exception], ...]:
    # ImportError: the package may have been upgraded on disk below a running agent, and DNS must go on.
    try:
        from dnslib import DNSError
        from dnslib.label import DNSLabelError
    except ImportError:
        return (ImportError,)
    return (DNSError, DNSLabelError, *_STUMBLES)
