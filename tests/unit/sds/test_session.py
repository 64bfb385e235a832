"""SDS streams as transcripts: what Envoy asks and what becomes known, and what goes out by then."""

import itertools

from vmagent.sds.session import Asked, Refuse, Reply, SdsSession


class Changed(tuple[str, ...]):
    """There is a credential now, and these secrets are new."""


BOTH = ("ROOTCA", "default")


def play(*script: Asked | Changed | list[Reply | Refuse]) -> None:
    """Events go in; each list is what must have come out since the last."""
    numbers = itertools.count(1)
    session = SdsSession(lambda: f"n{next(numbers)}")
    seen: list[Reply | Refuse] = []
    for line in script:
        if isinstance(line, list):
            assert seen == line, f"\nexpected {line}\n     got {seen}"
            seen = []
        elif isinstance(line, Changed):
            seen += session.change(line)
        elif (answer := session.request(line)) is not None:
            seen.append(answer)
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


def test_an_unknown_name_never_yields_the_private_key() -> None:
    play(
        Changed(BOTH),
        first("default", "kubernetes://other"),
        [Refuse(why="no secret named 'kubernetes://other'; there are ROOTCA, default", missing=True)],
    )
