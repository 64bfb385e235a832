"""SDS streams as transcripts: what Envoy asks and what becomes known, and what goes out by then."""

import itertools

from vmagent.sds.session import MOST_NAMES, Answer, Asked, Denial, Refuse, Reply, SdsSession


class Changed(tuple[str, ...]):
    """These secrets are there now, and new."""


class Denied(tuple[str, ...]):
    """These are not there."""


class Forgotten(str):
    """Nobody looks after this one any more."""


BOTH = ("ROOTCA", "default")
FILE, OTHER = "file-root:/c/root.pem", "file-cert:/c/chain.pem~/c/key.pem"
WHY = "/c/root.pem does not exist"


def play(*script: Asked | Changed | Denied | Forgotten | list[Answer]) -> None:
    """Events go in; each list is what must have come out since the last."""
    numbers = itertools.count(1)
    session = SdsSession(lambda: f"n{next(numbers)}")
    seen: list[Answer] = []
    for line in script:
        if isinstance(line, list):
            assert seen == line, f"\nexpected {line}\n     got {seen}"
            seen = []
        elif isinstance(line, Changed):
            seen += session.change(line)
        elif isinstance(line, Denied):
            seen += session.deny(dict.fromkeys(line, WHY))
        elif isinstance(line, Forgotten):
            session.forget(line)
        else:
            seen += session.request(line)
    assert seen == [], f"nobody asked about {seen}"


def first(*names: str) -> Asked:
    return Asked(node_id="vm204.istio-demo", names=names)


def ack(nonce: str, *names: str) -> Asked:
    return Asked(names=names, nonce=nonce)


def reply(nonce: str, *names: str) -> Reply:
    return Reply(names=names, nonce=nonce)


def test_a_request_is_answered_at_once_when_there_is_a_credential() -> None:
    play(Changed(BOTH), first("default"), [reply("n1", "default")], ack("n1", "default"), [])


def test_a_request_before_the_first_credential_waits_and_does_not_fail() -> None:
    play(first("default"), [], Changed(BOTH), [reply("n1", "default")], ack("n1", "default"), [])


def test_a_stream_that_asks_for_both_gets_both_in_one_reply() -> None:
    play(Changed(BOTH), first("default", "ROOTCA"), [reply("n1", "default", "ROOTCA")])


def test_a_new_certificate_under_the_same_root_is_pushed_alone() -> None:
    play(
        Changed(BOTH),
        first(*BOTH),
        [reply("n1", *BOTH)],
        ack("n1", *BOTH),
        Changed(("default",)),
        [reply("n2", "default")],
    )


def test_a_new_root_comes_before_the_certificate_that_needs_it() -> None:
    play(
        Changed(BOTH),
        first(*BOTH),
        [reply("n1", *BOTH)],
        Changed(BOTH),
        [reply("n2", "ROOTCA"), reply("n3", "default")],
    )


def test_only_who_subscribed_hears_of_a_change() -> None:
    play(Changed(BOTH), first("ROOTCA"), [reply("n1", "ROOTCA")], Changed(("default",)), [])


def test_a_name_added_later_is_answered_alone() -> None:
    play(
        Changed(BOTH),
        first("default"),
        [reply("n1", "default")],
        ack("n1", "default", "ROOTCA"),
        [reply("n2", "ROOTCA")],
        ack("n2", "default", "ROOTCA"),
        [],
    )


def test_a_name_taken_away_is_no_longer_pushed() -> None:
    play(
        Changed(BOTH),
        first(*BOTH),
        [reply("n1", *BOTH)],
        ack("n1", "ROOTCA"),
        [],
        Changed(("default",)),
        [],
    )


def test_no_names_at_all_end_the_subscription_but_not_the_stream() -> None:
    play(
        Changed(BOTH),
        first("default"),
        [reply("n1", "default")],
        ack("n1"),
        Changed(BOTH),
        [],
        ack("n1", "default"),
        [reply("n2", "default")],
    )


def test_a_name_unsubscribed_while_it_was_waited_for_is_not_sent() -> None:
    play(first("default"), Asked(), Changed(BOTH), [])


def test_an_answer_to_an_overtaken_response_is_ignored() -> None:
    play(
        Changed(BOTH),
        first("default"),
        [reply("n1", "default")],
        Changed(("default",)),
        [reply("n2", "default")],
        ack("n1"),
        [],
        Changed(("default",)),
        [reply("n3", "default")],
    )


def test_a_rejection_is_not_answered_with_the_same_again() -> None:
    play(
        Changed(BOTH),
        first("default"),
        [reply("n1", "default")],
        Asked(names=("default",), nonce="n1", rejected="bad key"),
        [],
    )


def test_a_repeated_first_request_is_answered_again() -> None:
    play(
        Changed(BOTH), first("default"), [reply("n1", "default")], first("default"), [reply("n2", "default")]
    )


def test_a_nonce_from_another_stream_does_not_hold_up_the_first_request() -> None:
    play(
        Changed(BOTH),
        Asked(node_id="vm", names=("default",), nonce="old"),
        [reply("n1", "default")],
    )


def test_a_name_asked_twice_is_sent_once() -> None:
    play(Changed(BOTH), first("default", "default"), [reply("n1", "default")])


def test_who_does_not_introduce_itself_is_refused() -> None:
    play(Asked(names=("default",)), [Refuse(why="missing node information")])


def test_more_names_than_any_envoy_has_are_refused() -> None:
    many = tuple(map(str, range(MOST_NAMES + 1)))
    play(first(*many), [Refuse(why=f"{MOST_NAMES + 1} secrets in one stream; {MOST_NAMES} are the most")])


# --- secrets that are not there -----------------------------------------------------------------------------


def denial(nonce: str, name: str) -> Denial:
    return Denial(name=name, why=WHY, nonce=nonce)


def nack(nonce: str, *names: str) -> Asked:
    return Asked(names=names, nonce=nonce, rejected="not a secret")


def test_what_is_not_there_is_denied_once_and_sent_when_it_is() -> None:
    play(
        first(FILE),
        [],
        Denied((FILE,)),
        [denial("n1", FILE)],
        nack("n1", FILE),
        Denied((FILE,)),
        [],
        Changed((FILE,)),
        [reply("n2", FILE)],
        ack("n2", FILE),
        [],
    )


def test_what_is_known_not_to_be_there_is_denied_at_once() -> None:
    play(Denied((FILE,)), first(FILE), [denial("n1", FILE)])


def test_one_that_is_not_there_does_not_hold_up_the_others() -> None:
    play(
        Changed(BOTH),
        Denied((FILE,)),
        first("default", FILE, OTHER),
        [reply("n1", "default"), denial("n2", FILE)],
        Changed((OTHER,)),
        [reply("n3", OTHER)],
    )


def test_what_has_been_sent_is_not_taken_back() -> None:
    play(Changed((FILE,)), first(FILE), [reply("n1", FILE)], ack("n1", FILE), Denied((FILE,)), [])


def test_what_nobody_wants_is_not_denied() -> None:
    play(first("default"), Denied((FILE,)), [])


def test_what_was_forgotten_is_waited_for_again() -> None:
    play(
        Changed((FILE,)),
        first(FILE),
        [reply("n1", FILE)],
        ack("n1", "default"),
        Forgotten(FILE),
        ack("n1", "default", FILE),
        [],
        Changed((FILE,)),
        [reply("n2", FILE)],
    )
