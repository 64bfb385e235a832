import pytest

from tests.unit.xds.lastgood.kept import OWNER, kept, plain
from vmagent.xds.lastgood import codec
from vmagent.xds.lastgood.content import Damaged


def encoded() -> bytes:
    return b"".join(codec.encode(kept()))


def test_what_is_written_is_what_is_read() -> None:
    found = codec.decode(encoded())
    assert plain(found) == plain(kept())
    assert found.owner == OWNER


def test_a_file_that_was_cut_off_anywhere_is_not_taken() -> None:
    whole = encoded()
    for length in range(len(whole)):
        with pytest.raises(Damaged):
            codec.decode(whole[:length])


def test_a_file_with_any_byte_turned_over_is_not_taken() -> None:
    whole = encoded()
    for place in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[place] ^= 0x40
        with pytest.raises(Damaged):
            codec.decode(bytes(spoiled))


def test_a_file_of_another_format_says_which() -> None:
    other = encoded().replace(b"format 2\n", b"format 3\n", 1)
    with pytest.raises(Damaged, match="has format '3'; this version knows 2"):
        codec.decode(other)


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"vmagent last known good, format 2\n"])
def test_something_else_is_not_taken(data: bytes) -> None:
    with pytest.raises(Damaged):
        codec.decode(data)
