from pathlib import Path

import pytest

from vmagent.capture import neighbours
from vmagent.capture.neighbours import Card, answered, question

OURS, THEIRS = bytes.fromhex("0200c0a800cc"), bytes.fromhex("0200c0a80046")
ADDRESS = bytes([192, 168, 0, 204])
CARD = Card(name="eth0", mac=OURS, address=ADDRESS)
OWN = frozenset({OURS})


def reply(mac: bytes, address: bytes, *, operation: int = 2, kind: int = 0x0806) -> bytes:
    head = OURS + mac + kind.to_bytes(2, "big")
    return (
        head + bytes.fromhex("0001080006 04") + operation.to_bytes(2, "big") + mac + address + OURS + bytes(4)
    )


def test_the_question_is_asked_of_everybody_in_nobodys_name() -> None:
    frame = question(CARD)
    assert len(frame) == 42
    assert frame[:12] == b"\xff" * 6 + OURS
    assert frame[12:22].hex() == "08060001080006040001"
    assert frame[22:] == OURS + bytes(4) + bytes(6) + ADDRESS  # RFC 5227, 2.1.1: a probe


def test_who_answers_for_our_address_has_it_too() -> None:
    assert answered(reply(THEIRS, ADDRESS) + bytes(18), ADDRESS, OWN) == THEIRS


@pytest.mark.parametrize(
    "frame",
    [
        reply(THEIRS, bytes([192, 168, 0, 1])),
        reply(OURS, ADDRESS),
        reply(THEIRS, ADDRESS, operation=1),
        reply(THEIRS, ADDRESS, kind=0x0800),
        reply(THEIRS, ADDRESS)[:41],
        b"",
    ],
    ids=["another address", "another card of ours", "a switch that asks", "no ARP", "cut off", "nothing"],
)
def test_nobody_else_does(frame: bytes) -> None:
    assert answered(frame, ADDRESS, OWN) == b""


@pytest.mark.effects
@pytest.mark.parametrize("content", ["", "[]", "{", "x" * (1 << 17), None])
def test_a_file_that_says_nothing_is_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / neighbours.FILE).write_text(content)
    assert neighbours.read(tmp_path) == {}
    assert neighbours.told({}) == ""


@pytest.mark.effects
def test_what_is_found_is_told_with_the_card_and_forgotten_by_the_next_process(tmp_path: Path) -> None:
    (tmp_path / neighbours.FILE).write_text('{"192.168.0.204": "02:00:c0:a8:00:46 on eth0"}')
    assert neighbours.told(neighbours.read(tmp_path)) == (
        "another machine has this one's address, too: 192.168.0.204 (02:00:c0:a8:00:46 on eth0);"
        " the mesh takes both for one"
    )
    neighbours.Neighbours(tmp_path)
    assert neighbours.read(tmp_path) == {}
