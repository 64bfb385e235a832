"""A root certificate as a file: whole, or named with the line where it is not."""

import base64

import pytest

from vmagent.config.pem import Damaged, certificates


def pem(der: bytes, kind: str = "CERTIFICATE") -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n".encode()


WHOLE = pem(b"\x30\x82\x01\x00" + b"x" * 256)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (WHOLE, 1),
        (WHOLE * 3, 3),
        (b"# a comment\n" + WHOLE, 1),
        (WHOLE.replace(b"\n", b"\r\n"), 1),
        (pem(b"\x30\x03abc"), 1),
    ],
)
def test_whole_certificates_are_counted(data: bytes, count: int) -> None:
    assert certificates(data) == count


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"", 1, "is empty"),
        (b" \n", 1, "is empty"),
        (b"hello\n", 1, "holds no PEM certificate"),
        (pem(b"\x30\x03abc", "PRIVATE KEY"), 1, "holds a PRIVATE KEY, not a certificate"),
        (WHOLE[:-20], 1, "certificate 1 has no end"),
        (WHOLE + WHOLE[:100], 8, "certificate 2 has no end"),
        (WHOLE.replace(b"eHh4", b"!!!!", 1), 1, "certificate 1 is damaged"),
        (WHOLE.replace(b"eHh4", b"", 1), 1, "certificate 1 is damaged"),
        (pem(b"\x30\x04abc"), 1, "certificate 1 is damaged"),
        (pem(b"\x31\x03abc"), 1, "certificate 1 is damaged"),
        (pem(b""), 1, "certificate 1 is damaged"),
    ],
)
def test_damage_is_named_with_its_line(data: bytes, line: int, says: str) -> None:
    with pytest.raises(Damaged) as damaged:
        certificates(data)
    assert (str(damaged.value), damaged.value.line) == (says, line)
