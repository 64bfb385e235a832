from pathlib import Path

from vmagent.envoy.complaint import LONGEST, sentence

ENVOY = Path("/opt/envoy")
LOGGED = (
    "[2026-11-21 05:16:33.121][7][critical][main] [source/server/server.cc:76] error initializing: {} no\n"
)


def test_an_argument_that_envoy_does_not_know_means_that_it_is_too_old() -> None:
    usage = "PARSE ERROR: Argument: --later\n             Couldn't find match for argument\n\nBrief USAGE: \n"
    assert sentence(usage, ENVOY) == (
        "/opt/envoy does not know the argument --later: it is too old; install a newer Envoy, or name one in "
        "defaultConfig.binaryPath"
    )


def test_a_value_that_envoy_does_not_take_is_told_in_its_words() -> None:
    usage = "PARSE ERROR: Argument: (--base-id)\n             Couldn't read argument value from string 'x'\n"
    assert "does not take its argument (--base-id): Couldn't read argument value" in sentence(usage, ENVOY)


def test_the_last_thing_that_it_logged_as_an_error_counts() -> None:
    assert sentence("[…][7][info][main] hello\n" + LOGGED, ENVOY) == "it says: error initializing: {} no"


def test_the_document_is_not_repeated() -> None:
    assert sentence(LOGGED.replace("{} no", '(not JSON): {"a":"secret"}'), ENVOY) == (
        "it says: error initializing: (not JSON"
    )


def test_its_words_are_cut() -> None:
    assert len(sentence(LOGGED.replace("no", "n" * 4000), ENVOY)) == LONGEST + len("it says: ")


def test_silence_is_no_complaint() -> None:
    assert sentence("configuration OK\n", ENVOY) == ""
