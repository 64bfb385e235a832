"""Whom a question goes to, and which reply counts. Time is written down, nobody waits."""

import pytest

from tests.unit.dns.packets import ask
from vmagent.dns.exchange import ATTEMPTS, HEDGE, HOLD, PATIENCE, Exchange, Kind, Policy, belongs, judge
from vmagent.dns.message import Rcode

POLICY = Policy(attempts=3, spacing=1.5, hedge=HEDGE)
QUESTION = ask("www.google.com")[12:]


def reply(rcode: int = 0, *, answers: int = 0, cut: bool = False, ident: int = 7) -> bytes:
    flags = bytes((0x81 | (2 if cut else 0), 0x80 | rcode))
    return ident.to_bytes(2, "big") + flags + b"\0\1" + answers.to_bytes(2, "big") + bytes(4) + QUESTION


YES, NO, ERROR = reply(answers=1), reply(Rcode.NXDOMAIN), reply(Rcode.SERVFAIL)
NO_DATA, REFUSED = reply(), reply(Rcode.REFUSED)


def asked(exchange: Exchange, *moments: float) -> list[tuple[float, list[int]]]:
    return [(now, due) for now in moments if (due := exchange.due(now))]


def test_all_tries_end_before_the_client_gives_up() -> None:
    glibc = 5.0
    assert glibc * PATIENCE < glibc
    assert Policy(attempts=ATTEMPTS, spacing=glibc * PATIENCE / ATTEMPTS, hedge=HEDGE).total <= 4.5


def test_a_single_server_is_asked_again_and_then_given_up() -> None:
    exchange = Exchange(1, POLICY, 0)
    assert asked(exchange, 0, 1, 1.5, 2, 3.0, 4) == [(0, [0]), (1.5, [0]), (3.0, [0])]
    assert exchange.wake == 4.5
    assert exchange.due(4.5) == []
    assert exchange.done
    assert exchange.result is None
    assert exchange.silent == {0: 0}


def test_a_silent_server_is_not_waited_for_the_next_one_is_asked_beside_it() -> None:
    exchange = Exchange(2, POLICY, 10)
    assert exchange.due(10) == [0]
    assert exchange.wake == 10 + HEDGE
    assert exchange.due(10 + HEDGE) == [1]
    exchange.replied(1, YES, 10.2)
    assert (exchange.done, exchange.result) == (True, YES)
    assert exchange.silent == {0: 10}


def test_a_refused_port_costs_no_time() -> None:
    exchange = Exchange(2, POLICY, 0)
    assert exchange.due(0) == [0]
    exchange.failed(0, 0.001)
    assert exchange.due(0.001) == [1]
    exchange.failed(1, 0.002)
    assert (exchange.done, exchange.result) == (True, None)


@pytest.mark.parametrize("rcode", [Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED])
def test_a_server_that_cannot_help_sends_us_to_the_next(rcode: Rcode) -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.replied(0, reply(rcode), 0.01)
    assert exchange.due(0.01) == [1]
    exchange.replied(1, YES, 0.02)
    assert exchange.result == YES


def test_if_nobody_can_help_the_first_error_is_the_answer() -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.replied(0, REFUSED, 0.01)
    exchange.due(0.01)
    exchange.replied(1, ERROR, 0.02)
    assert (exchange.done, exchange.result) == (True, REFUSED)


@pytest.mark.parametrize("no", [NO, NO_DATA])
def test_the_first_server_s_no_is_believed_at_once(no: bytes) -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.replied(0, no, 0.01)
    assert (exchange.done, exchange.result) == (True, no)


def test_a_fast_public_resolver_s_no_waits_for_the_slow_internal_one() -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.due(HEDGE)
    exchange.replied(1, NO, 0.2)
    assert not exchange.done
    exchange.replied(0, YES, 0.4)
    assert exchange.result == YES


def test_a_no_does_not_wait_for_ever() -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.due(HEDGE)
    exchange.replied(1, NO, 0.2)
    assert exchange.wake == HOLD
    exchange.due(HOLD)
    assert (exchange.done, exchange.result) == (True, NO)


def test_a_no_does_not_wait_for_a_server_that_failed() -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.due(HEDGE)
    exchange.replied(1, NO, 0.2)
    exchange.failed(0, 0.3)
    assert exchange.result == NO


def test_in_parallel_everybody_is_asked_and_the_first_useful_word_counts() -> None:
    exchange = Exchange(3, Policy(attempts=3, spacing=1.5, hedge=0, hold=0), 0)
    assert exchange.due(0) == [0, 1, 2]
    exchange.replied(2, ERROR, 0.01)
    assert not exchange.done
    exchange.replied(1, NO, 0.02)
    assert exchange.result == NO


def test_a_cut_reply_is_an_answer_the_client_will_come_by_tcp() -> None:
    assert judge(reply(cut=True)) is Kind.YES


def test_what_comes_after_the_end_changes_nothing() -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.replied(0, YES, 0.1)
    exchange.replied(1, NO, 0.2)
    exchange.failed(0, 0.3)
    assert exchange.result == YES
    assert exchange.due(9) == []


def test_stopping_hands_on_what_is_known() -> None:
    exchange = Exchange(2, POLICY, 0)
    exchange.due(0)
    exchange.due(HEDGE)
    exchange.replied(1, NO, 0.2)
    exchange.give_up()
    assert exchange.result == NO


def test_late_comers_of_the_clock_ask_everybody_who_is_due() -> None:
    exchange = Exchange(2, POLICY, 0)
    assert exchange.due(2) == [0, 1, 0, 1]


# --- does a reply belong to the question? -----------------------------------------------------------------


def belonging(packet: bytes) -> bool:
    return belongs(packet, ident=b"\0\x07", asked=ask("www.google.com"), question=QUESTION)


def test_a_reply_belongs_by_id_and_question() -> None:
    assert belonging(YES)
    assert belonging(YES.replace(b"google", b"GOOGLE"))
    assert not belonging(reply(answers=1, ident=8))
    assert not belonging(YES.replace(b"google", b"goggle"))
    assert not belonging(YES[:12] + QUESTION[:-3] + b"\x1c\0\1")


def test_a_question_or_another_operation_is_no_reply() -> None:
    assert not belonging(YES[:2] + b"\x01" + YES[3:])
    assert not belonging(YES[:2] + b"\xa9" + YES[3:])


@pytest.mark.parametrize("length", range(len(YES)))
def test_a_cut_off_reply_belongs_to_nothing(length: int) -> None:
    assert not belonging(YES[:length])


def test_an_error_may_come_without_the_question() -> None:
    assert belonging(b"\0\x07\x81\x81" + bytes(8))
    assert not belonging(b"\0\x07\x81\x80" + bytes(8))
