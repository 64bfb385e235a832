import pytest

from tests.authority import Authority, pem
from vmagent.identity import anchors

OLD, NEW = Authority("old").root_pem, Authority("new").root_pem
LEAF = pem(Authority("leaf").cert).encode()


def roots(*these: bytes) -> bytes:
    return b"".join(these)


def held(*of_ca: bytes) -> bytes:
    """A chain, which ends with what the CA sent."""
    return roots(LEAF, *of_ca)


@pytest.mark.parametrize(
    ("from_ca", "file", "chain", "wanted"),
    [
        (OLD, NEW, b"", OLD),
        (OLD, OLD, held(OLD), OLD),
        (OLD, roots(OLD, NEW), held(OLD), roots(OLD, NEW)),
        (OLD, NEW, held(OLD), roots(OLD, NEW)),
        (NEW, roots(OLD, NEW), held(OLD), roots(NEW, OLD)),
        (NEW, roots(NEW, OLD), held(NEW), roots(NEW, OLD)),
        (NEW, NEW, held(NEW), NEW),
        (roots(OLD, NEW), OLD, held(OLD), roots(OLD, NEW)),
        (NEW, roots(OLD, NEW), held(OLD, NEW), NEW),
        (OLD, b"", held(OLD), OLD),
    ],
    ids=[
        "the first certificate decides alone",
        "nothing was edited",
        "the new root is added: both",
        "the new root replaces the old one: both, as long as our certificate is the old one's",
        "the CA has changed, the file has both: both",
        "and still",
        "the operator takes the old one out: it goes",
        "the CA itself says both",
        "and then only the new one, nobody having edited anything",
        "the file cannot be read",
    ],
)
def test_both_roots_are_trusted_while_one_replaces_the_other(
    from_ca: bytes, file: bytes, chain: bytes, wanted: bytes
) -> None:
    assert anchors.blocks(anchors.trusted(from_ca, file, chain)) == anchors.blocks(wanted)


def test_line_ends_and_words_between_make_no_other_root() -> None:
    windows = b"the mesh's root\r\n" + OLD.replace(b"\n", b"\r\n")
    assert not anchors.edited(windows, held(OLD))
    assert anchors.trusted(OLD, windows, held(OLD)) == OLD


def test_what_an_operator_added_is_not_the_cas() -> None:
    assert anchors.of_ca(roots(OLD, NEW), held(OLD)) == OLD
    assert anchors.of_ca(NEW, LEAF) == NEW
