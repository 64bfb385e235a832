"""Layers of environment: rank, empty values, problems told once."""

from pathlib import Path

from vmagent.config import credential_settings as settings
from vmagent.config import envfile, layers
from vmagent.config.layers import Environment


def environment(cluster: str, **environ: str) -> Environment:
    file = envfile.parse(cluster.encode(), Path("cluster.env"), {})
    return Environment((layers.from_file(file, "cluster.env"), layers.from_environment(environ)))


def test_the_layer_of_the_highest_rank_counts() -> None:
    found = environment("SECRET_TTL=1h\n", SECRET_TTL="2h", PKCS8_KEY="true")
    assert found.get(settings.SECRET_TTL) == 3600
    assert found.get(settings.PKCS8) is True
    assert found.names("SECRET") == ("SECRET_TTL",)


def test_a_value_set_to_nothing_means_the_default_and_hides_lower_layers() -> None:
    found = environment("SECRET_TTL=\n", SECRET_TTL="2h")
    assert found.get(settings.SECRET_TTL) == 24 * 3600
    assert not found.is_set(settings.SECRET_TTL)


def test_where_nothing_is_an_answer_it_is_taken() -> None:
    found = environment("OUTPUT_CERTS=\n")
    assert found.get(settings.OUTPUT_CERTS) == ""
    assert found.is_set(settings.OUTPUT_CERTS)
    assert environment("").get(settings.OUTPUT_CERTS) == "./etc/certs"


def test_a_bad_value_is_told_once_and_the_default_goes_on() -> None:
    found = environment("SECRET_TTL=x\n")
    assert found.get(settings.SECRET_TTL) == found.get(settings.SECRET_TTL) == 24 * 3600
    wider = found.below({})
    wider.get(settings.SECRET_TTL)
    assert [str(problem) for problem in wider.problems] == [
        "cluster.env:1: SECRET_TTL='x': not a value for this setting; "
        "write a duration with its unit, as in 24h, 1h30m, 5s or 100ms"
    ]
