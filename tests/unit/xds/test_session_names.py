"""What Envoy asks for by name, and gives up, where both sides speak state of the world, as transcripts."""

from tests.unit.xds.transcript import CDS, EDS, cds, eds, given, names, play
from vmagent.xds.messages import Ask, EnvoyOpened, Give, Request, Update, UpstreamOpened
from vmagent.xds.session import Session

# fmt: off

def test_what_envoy_wants_is_asked_for_once_and_an_acknowledgement_carries_the_new_names() -> None:
    first = eds("1", "a", x=b"1")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(),                    [],
        Request(EDS, names("x")),                           [Ask(EDS, names("x"))],
        first,                                              [given(first, "1")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        Request(EDS, names("y"), "1"),                      [Ask(EDS, names("y"), "1", "a")],
    )


def test_a_cluster_that_changed_gets_its_endpoints_once_more() -> None:
    """Envoy repeats its request then, and waits; the control plane has nothing new to say."""
    first = eds("1", "a", x=b"1")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")),      [Ask(EDS, names("x"))],
        first, Request(EDS, names("x"), "1"),     [given(first, "1"), Ask(EDS, names("x"), "1", "a")],
        Request(EDS, names("x"), "1"),                      [Give(EDS, "1", "2", {"x": b"1"})],
        Request(EDS, names("x"), "2"),                      [],
    )


def test_names_that_change_while_a_response_is_on_its_way_go_along_with_its_verdict() -> None:
    """istiod passes over a request with an older nonce than its last response's, names and all."""
    one, two = eds("1", "a", x=b"1"), eds("2", "b", x=b"2")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), one,
                                                            [Ask(EDS, names("x")), given(one, "1")],
        Request(EDS, names("x"), "1"),                      [Ask(EDS, names("x"), "1", "a")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        two,                                                [given(two, "2")],
        Request(EDS, names("x", "y"), "1"),                 [],
        Request(EDS, names("x", "y"), "2"),                 [Ask(EDS, names("x", "y"), "2", "b")],
    )


def test_names_that_istiod_may_have_missed_follow_a_rejection_in_a_request_of_their_own() -> None:
    """From a rejection istiod takes no names at all."""
    one, two = eds("1", "a", x=b"1"), eds("2", "b", x=b"bad")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), one,
                                                            [Ask(EDS, names("x")), given(one, "1")],
        Request(EDS, names("x"), "1"),                      [Ask(EDS, names("x"), "1", "a")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        two,                                                [given(two, "2")],
        Request(EDS, names("x", "y"), "2", "no"),
                    [Ask(EDS, names("x", "y"), "1", "b", "no"), Ask(EDS, names("x", "y"), "1", "b")],
    )


def test_names_that_an_update_has_answered_need_no_request_of_their_own() -> None:
    one, two = eds("1", "a", x=b"1"), eds("2", "b", y=b"bad")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), one,
                                                            [Ask(EDS, names("x")), given(one, "1")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        two,                                                [given(two, "2")],
        Request(EDS, names("x", "y"), "2", "no"),           [Ask(EDS, names("x", "y"), "1", "b", "no")],
    )


def test_a_late_response_for_names_that_were_given_up_is_passed_on_and_not_held() -> None:
    late = eds("2", "b", x=b"2", y=b"2")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x", "y")), [Ask(EDS, names("x", "y"))],
        Request(EDS, names("y")),                           [Ask(EDS, names("y"))],
        late,                                               [given(late, "1")],
        EnvoyOpened(), Request(EDS, names("y")),            [Give(EDS, "2", "2", {"y": b"2"})],
    )


def test_whatever_names_envoy_asks_clusters_by_it_gets_all_of_them() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), cds("1", "a", web=b"1", db=b"1"), [Ask(CDS)],
        EnvoyOpened(), Request(CDS, names("*", "web")),
                                                    [Give(CDS, "1", "1", {"web": b"1", "db": b"1"})],
        Request(CDS, names("web"), "1"),                    [Ask(CDS, version="1", nonce="a")],
        UpstreamOpened(),                                   [Ask(CDS, version="1")],
    )


def test_a_type_that_only_envoy_knows_is_asked_for_with_or_without_names() -> None:
    update = Update("scoped routes", "1", "a", {"s": b"1"})
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request("scoped routes"), [Ask("scoped routes")],
        update,                                             [given(update, "1")],
        Request("scoped routes", nonce="1"),       [Ask("scoped routes", version="1", nonce="a")],
        EnvoyOpened(), Request("scoped routes"),   [Give("scoped routes", "1", "2", {"s": b"1"})],
        UpstreamOpened(),                                   [Ask("scoped routes", version="1")],
    )


def test_a_type_that_envoy_gave_up_is_not_asked_for_again_and_a_late_response_passed_over() -> None:
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), [Ask(EDS, names("x"))],
        Request(EDS),                                       [Ask(EDS)],
        eds("1", "a", x=b"1"),                              [],
        UpstreamOpened(),                                   [],
        Request(EDS, names("x")),                           [Ask(EDS, names("x"))],
    )

# fmt: on
