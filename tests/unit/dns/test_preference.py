from vmagent.dns.preference import REMEMBERED, SET_BACK, Preference
from vmagent.dns.resolvconf import Server

ONE, TWO, THREE = (Server.parse(f"10.0.0.{i}", 53) for i in (1, 2, 3))
ALL = (ONE, TWO, THREE)


def test_the_order_of_the_file_is_kept() -> None:
    preference = Preference()
    assert [preference.order(ALL, now, rotate=False) for now in (0, 1)] == [ALL, ALL]


def test_rotate_begins_elsewhere_each_time() -> None:
    preference = Preference()
    firsts = [preference.order(ALL, 0, rotate=True)[0] for _ in range(6)]
    assert firsts == [TWO, THREE, ONE, TWO, THREE, ONE]


def test_a_silent_server_is_asked_last_for_a_while() -> None:
    preference = Preference()
    preference.silent(ONE, 0)
    assert preference.order(ALL, SET_BACK - 1, rotate=False) == (TWO, THREE, ONE)
    assert preference.order(ALL, SET_BACK, rotate=False) == ALL


def test_a_server_that_speaks_again_has_its_place_back() -> None:
    preference = Preference()
    preference.silent(ONE, 0)
    preference.heard(ONE)
    assert preference.order(ALL, 1, rotate=False) == ALL


def test_if_all_are_silent_the_order_of_the_file_is_as_good_as_any() -> None:
    preference = Preference()
    for server in ALL:
        preference.silent(server, 0)
    assert preference.order(ALL, 1, rotate=False) == ALL


def test_resolvers_that_come_and_go_do_not_fill_the_memory() -> None:
    preference = Preference()
    for number in range(10 * REMEMBERED):
        preference.silent(Server.parse(f"10.0.{number // 256}.{number % 256}", 53), number)
    assert len(preference._back_until) <= REMEMBERED
